package certdeploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/updater"
)

// DefaultClient is the configuration that is read when none is named.
const DefaultClient = "/etc/certdeploy/client.yml"

const clientAbout = `Bring certificates that certdeploy's server pushed to where services read them,
and tell the services: once, or as a daemon that takes pushes in by SFTP. It reads
the configuration of certdeploy.`

// clientOptions are those of certdeploy-client.
type clientOptions struct {
	*options
	config              *string
	daemon, strict      *bool
	level, file         *string
	sftpLevel, sftpFile *string
}

func newClientOptions() *clientOptions {
	o := &clientOptions{options: newOptions("certdeploy-client", clientAbout)}
	o.config = o.text("config", "FILE", "the configuration; /etc/certdeploy/client.yml if not given", "CERTDEPLOY_CLIENT_CONFIG")
	o.daemon = o.boolean("daemon", "take pushes in until stopped", "CERTDEPLOY_CLIENT_DAEMON")
	o.strict = o.boolean("strict-exit", "end with status 1 when a service could not be told", "CERTDEPLOY_CLIENT_STRICT_EXIT")
	o.level = o.options.level("log-level", "DEBUG, INFO, WARNING, ERROR or CRITICAL", "CERTDEPLOY_CLIENT_LOG_LEVEL", "CERTDEPLOY_LOG_LEVEL")
	o.file = o.text("log-filename", "FILE", "where to log", "CERTDEPLOY_CLIENT_LOG_FILENAME")
	o.sftpLevel = o.options.level("sftp-log-level", "the same for SFTP", "CERTDEPOLY_CLIENT_SFTP_LOG_LEVEL", "CERTDEPLOY_CLIENT_SFTP_LOG_LEVEL")
	o.sftpFile = o.text("sftp-log-filename", "FILE", "where to log SFTP", "CERTDEPOLY_CLIENT_SFTP_LOG_FILENAME", "CERTDEPLOY_CLIENT_SFTP_LOG_FILENAME")
	return o
}

// ClientFlags are the options of certdeploy-client.
func ClientFlags() []Flag { return newClientOptions().all() }

// ClientMain is certdeploy-client as a program; it answers the exit status: 0 all
// is well, and also when a service could not be told unless fail_fast or
// --strict-exit is set; 1 the configuration, or a certificate that was refused;
// 2 usage.
func ClientMain(args []string, out, complaints io.Writer) int {
	o := newClientOptions()
	if status, goOn := o.run(args, out, complaints); !goOn {
		return status
	}
	path := *o.config
	if path == "" {
		path = DefaultClient
	}
	c, err := loadClient(path)
	c.override(*o.level, *o.file, *o.sftpLevel, *o.sftpFile)
	main, sftp, closing, logErr := c.logging.open("certdeploy-client", out, complaints)
	if logErr != nil {
		main, closing, err = newLines(out, slog.LevelError, "certdeploy-client"), func() {}, errors.Join(err, logErr)
		sftp = main
	}
	defer closing()
	log := slog.New(main)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = c.run(ctx, *o.daemon, *o.strict, log, slog.New(newSplit(main, sftp, c.source, *o.daemon)))
	}
	return finish(log, err)
}

func (c *clientConfig) run(ctx context.Context, daemon, strict bool, log, agentLog *slog.Logger) error {
	if daemon {
		if err := c.checkDaemon(); err != nil {
			return err
		}
	}
	a, err := agent.New(c.agent(), agentLog)
	if err != nil {
		return err
	}
	defer a.Close()
	if daemon {
		log.Debug("Running daemon")
		return c.daemon(ctx, a, log)
	}
	log.Debug("Running one off deploy")
	r, err := a.Sync(ctx)
	if err != nil {
		return err
	}
	if len(r.Problems) > 0 || c.failFast && anyFailed(r.Updates) != nil {
		return r.Err()
	}
	if strict && anyFailed(r.Updates) != nil {
		return errStrict
	}
	return nil
}

func (c *clientConfig) daemon(ctx context.Context, a *agent.Agent, log *slog.Logger) error {
	l, err := a.Listen(ctx)
	if err != nil {
		return fmt.Errorf("Failed to listen on %s:%d: %w", c.listen, c.port, err) //lint:ignore ST1005 the original's words
	}
	address := c.listen
	if address == "" {
		address = "0.0.0.0"
	}
	log.Info(fmt.Sprintf("Listening for incoming connections at %s:%d", address, l.Addr().(*net.TCPAddr).Port))
	if c.failFast {
		a.Told = anyFailed
	}
	return a.Run(ctx, &heard{l, log})
}

// anyFailed is the first failure among the results.
func anyFailed(results []updater.Result) error {
	for _, r := range results {
		if r.Err != nil {
			return fmt.Errorf("update %s: %w", r.Name, r.Err)
		}
	}
	return nil
}

// heard tells of each connection.
type heard struct {
	net.Listener
	log *slog.Logger
}

// Accept is the listener's.
func (h *heard) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err == nil {
		host, port, _ := net.SplitHostPort(c.RemoteAddr().String())
		h.log.Info(fmt.Sprintf("Got connection from ('%s', %s)", host, port))
	}
	return c, err
}

// transport are the agent's messages that belong into the SFTP log.
var transport = map[string]bool{"logged in": true, "login failed": true, "host key": true, "connection broke": true, "session broke off": true, "connection not accepted": true, "file not staged": true}

// split sends the agent's records into the two logs of certdeploy, with the words
// that its readers look for.
type split struct{ main, sftp *lines }

func newSplit(main, sftp *lines, source string, daemon bool) slog.Handler {
	m := *main
	m.as = func(r slog.Record) (before []string, message string) {
		switch r.Message {
		case "certificate is live":
			before = []string{"Deploying new certs"}
			if daemon {
				before = append(before, "Queueing updates for services")
			}
		case "updating services":
			return nil, "Updating services"
		case "services were told":
			return nil, "Updated services"
		case "certificate not taken":
			before = []string{"InvalidKey: Invalid key " + filepath.Join(source, attr(r, "lineage"))}
		}
		return before, r.Message
	}
	return split{&m, sftp}
}

func attr(r slog.Record, key string) (value string) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == key {
			value = a.Value.String()
		}
		return value == ""
	})
	return value
}

func (s split) of(message string) *lines {
	if transport[message] {
		return s.sftp
	}
	return s.main
}

// Enabled is either log's.
func (s split) Enabled(ctx context.Context, l slog.Level) bool {
	return s.main.Enabled(ctx, l) || s.sftp.Enabled(ctx, l)
}

// Handle writes the record into its log.
func (s split) Handle(ctx context.Context, r slog.Record) error {
	if l := s.of(r.Message); l.Enabled(ctx, r.Level) {
		return l.Handle(ctx, r)
	}
	return nil
}

// WithAttrs keeps the attributes for both.
func (s split) WithAttrs(attrs []slog.Attr) slog.Handler {
	return split{s.main.WithAttrs(attrs).(*lines), s.sftp.WithAttrs(attrs).(*lines)}
}

// WithGroup changes nothing.
func (s split) WithGroup(string) slog.Handler { return s }
