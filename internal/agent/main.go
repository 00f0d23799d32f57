package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
)

const usage = `certfleet-agent brings certificates that are pushed to this machine to the services on it.

usage: certfleet-agent [--config FILE] [--debug] COMMAND [TOKEN]

  run      receive by SFTP, bring to live, run the updaters; until it is stopped
  sync     bring what lies in staging to live, run the updaters, and end
  join     become known to the manager that invited this agent: join TOKEN, or
           join - to read the token, or join with it in CERTFLEET_JOIN_TOKEN
  check    say whether the configuration is good, and change nothing
  version  say which release this is

exit status: 0 all is well, 1 something is not, 2 wrong usage
`

// Main is the agent as a program; it answers the exit status.
func Main(args []string, out, complaints io.Writer) int {
	flags := flag.NewFlagSet("certfleet-agent", flag.ContinueOnError)
	flags.SetOutput(complaints)
	flags.Usage = func() { fmt.Fprint(complaints, usage) }
	path := flags.String("config", DefaultPath, "")
	chatty := flags.Bool("debug", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() != 1 && !(flags.NArg() == 2 && flags.Arg(0) == "join"):
		flags.Usage()
		return 2
	}
	level := slog.LevelInfo
	if *chatty {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(complaints, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if flags.Arg(0) == "join" {
		return complain(joinAndSay(ctx, *path, flags.Arg(1), out), complaints)
	}
	return command(ctx, flags.Arg(0), *path, log, out, complaints)
}

func command(ctx context.Context, word, path string, log *slog.Logger, out, complaints io.Writer) int {
	var err error
	switch word {
	case "run":
		err = with(path, log, func(a *Agent) error { return a.listenAndRun(ctx) })
	case "sync":
		err = with(path, log, func(a *Agent) error { return a.syncAndTell(ctx, out) })
	case "check":
		if err = checkFile(path); err == nil {
			fmt.Fprintf(out, "%s is good\n", path)
		}
	case "version":
		fmt.Fprintf(out, "certfleet-agent %s\n", certfleet.Release)
	default:
		fmt.Fprint(complaints, usage)
		return 2
	}
	return complain(err, complaints)
}

// complain says what went wrong and answers the exit status.
func complain(err error, complaints io.Writer) int {
	if err == nil {
		return 0
	}
	for _, e := range config.Problems(err) {
		fmt.Fprintf(complaints, "error: %v\n", e)
		if advice := certfleet.AdviceOf(e); advice != "" {
			fmt.Fprintf(complaints, "advice: %s\n", advice)
		}
	}
	return 1
}

func joinAndSay(ctx context.Context, path, word string, out io.Writer) error {
	token, err := joinToken(word, os.Stdin)
	if err != nil {
		return err
	}
	c := Config{}.settled()
	if _, absent := os.Stat(path); absent == nil || path != DefaultPath {
		if c, err = Load(path); err != nil {
			return err
		}
	}
	name, err := Join(ctx, c, token)
	if err == nil {
		fmt.Fprintf(out, "joined as %s; the identity is in %s\nrestart the agent, so that it reports\n", name, c.Identity)
	}
	return err
}

// checkFile builds everything that a configuration names, and changes nothing.
func checkFile(path string) error {
	c, err := Load(path)
	if err != nil {
		return err
	}
	if _, err := items(c.Updaters, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	_, err = newLive(c, slog.New(slog.DiscardHandler))
	return err
}

func with(path string, log *slog.Logger, do func(*Agent) error) error {
	c, err := Load(path)
	if err != nil {
		return err
	}
	a, err := New(c, log)
	if err != nil {
		return err
	}
	defer a.Close()
	return do(a)
}

func (a *Agent) listenAndRun(ctx context.Context) error {
	if !a.pushed() {
		a.log.Info("nobody may push; what is assigned is fetched", "staging", a.c.Staging, "release", certfleet.Release)
		return a.Run(ctx, nil)
	}
	l, err := a.Listen(ctx)
	if err != nil {
		return err
	}
	a.log.Info("listening", "address", l.Addr(), "staging", a.c.Staging, "release", certfleet.Release)
	return a.Run(ctx, l)
}

func (a *Agent) syncAndTell(ctx context.Context, out io.Writer) error {
	fetched := a.fetchAll(ctx)
	r, err := a.Sync(ctx)
	if err != nil {
		return err
	}
	r.Live = append(r.Live, fetched...)
	a.reportServed(ctx)
	for _, label := range slices.Sorted(slices.Values(r.Live)) {
		fmt.Fprintf(out, "live: %s\n", label)
	}
	for _, label := range r.Removed {
		fmt.Fprintf(out, "removed: %s\n", label)
	}
	for _, u := range r.Updates {
		if u.OK {
			fmt.Fprintf(out, "updated: %s\n", u.Name)
		}
	}
	return r.Err()
}
