package certdeploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/certfleet/certfleet"
)

// DefaultServer is the configuration that is read when none is named.
const DefaultServer = "/etc/certdeploy/server.yml"

// ServerMain is certdeploy-server as a program; it answers the exit status: 0 all
// is well, and also when something could not be pushed unless fail_fast or
// --strict-exit is set; 1 the configuration or something else is wrong; 2 usage.
func ServerMain(args []string, out, complaints io.Writer) int {
	o := newServerOptions()
	if status, goOn := o.run(args, out, complaints); !goOn {
		return status
	}
	path := *o.config
	if path == "" {
		path = DefaultServer
	}
	c, err := loadServer(path)
	c.override(*o.level, *o.file, *o.sftpLevel, *o.sftpFile)
	log, sftp, closing, logErr := c.logging.open("certdeploy-server", out, complaints)
	if logErr != nil {
		log, closing, err = newLines(out, slog.LevelError, "certdeploy-server"), func() {}, errors.Join(err, logErr)
	}
	defer closing()
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = o.do(ctx, c, slog.New(log), slog.New(sftp))
	}
	return finish(slog.New(log), err)
}

// finish logs what ended the program, and answers its exit status.
func finish(log *slog.Logger, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errStrict):
		return 1
	case errors.Is(err, context.Canceled):
		log.Error("Aborted!")
		return 1
	}
	log.Error(fmt.Sprintf("%s: %v", errorName(err), err))
	if advice := certfleet.AdviceOf(err); advice != "" {
		log.Error("Advice: " + advice)
	}
	return 1
}

// errorName is the class by which certdeploy's users know an error.
func errorName(err error) string {
	if _, ok := errors.AsType[*missingFile](err); ok {
		return "FileNotFoundError"
	}
	if certfleet.KindOf(err) == certfleet.Invalid {
		return "ConfigError"
	}
	return "CertDeployError"
}

// override lets the command line and the environment win over the file.
func (l *logging) override(level, file, sftpLevel, sftpFile string) {
	for _, x := range []struct {
		into *string
		with string
	}{{&l.level, level}, {&l.file, file}, {&l.sftpLevel, sftpLevel}, {&l.sftpFile, sftpFile}} {
		if x.with != "" {
			*x.into = x.with
		}
	}
	for _, level := range []*string{&l.level, &l.sftpLevel} {
		if _, err := parseLevel(*level); err != nil {
			*level = "ERROR"
		}
	}
}

// errStrict ends the program with status 1 after what failed was logged.
var errStrict = errors.New("something failed")

func (o *serverOptions) do(ctx context.Context, c serverConfig, log, sftp *slog.Logger) error {
	m := o.mode()
	if m == modeNothing {
		return invalid("name what was renewed with --lineage and --domains, or choose --push, --renew or --daemon",
			"Could not find lineage or domains. lineage: %s, domains: %s", *o.lineage, *o.domains)
	}
	s, err := newServer(ctx, c, log, sftp)
	if err != nil {
		return err
	}
	defer s.q.close()
	if err := s.run(ctx, m, *o.lineage, strings.Fields(*o.domains)); err != nil {
		return err
	}
	if *o.strict && s.failures() > 0 {
		return errStrict
	}
	return nil
}

func (s *server) run(ctx context.Context, m mode, lineage string, domains []string) error {
	switch m {
	case modeRenew:
		s.log.Debug("Running renew")
		return s.renew(ctx)
	case modeDaemon:
		s.log.Debug("Running daemon")
		return s.daemon(ctx)
	}
	s.log.Debug("Running manual push or hook")
	if m != modePush {
		if err := s.enqueue(ctx, lineage, domains); err != nil {
			return err
		}
	}
	if m == modeQueue {
		return nil
	}
	s.log.Debug("Running manual push without a running daemon")
	return s.push(ctx, true)
}

// daemon pushes and renews, beside each other.
func (s *server) daemon(ctx context.Context) error {
	g, inner := errgroup.WithContext(ctx)
	g.Go(func() error { return s.push(inner, false) })
	g.Go(func() error { return s.keepRenewing(inner) })
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil // it was stopped
}

// wakeUp bounds how long a jump of the clock goes unnoticed.
const wakeUp = time.Minute

// keepRenewing runs the renew command when it is due; nothing runs at the start.
func (s *server) keepRenewing(ctx context.Context) error {
	due := s.c.renew.next(time.Now())
	for {
		wait := time.Until(due.Round(0))
		if wait > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(min(wait, wakeUp)):
			}
			continue
		}
		if err := s.renew(ctx); err != nil {
			return err
		}
		due = s.c.renew.next(time.Now())
	}
}

// renew runs the renew command; that it fails is an error with fail_fast alone.
func (s *server) renew(ctx context.Context) error {
	said, err := s.c.renewOnce(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.log.Error(fmt.Sprintf("Failed to renew or check certificates: %v", err), "output", said, "advice", certfleet.AdviceOf(err))
		s.fail(fmt.Errorf("renew: %w", err))
		return s.fatalError()
	}
	s.log.Debug("The renew command ended.", "output", said)
	s.log.Info("Checked for renewable certificates.")
	return nil
}
