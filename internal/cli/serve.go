package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
)

func (p *program) serveCommand() *cobra.Command {
	var readOnly string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the manager",
		Long: `Run the manager: the API, the answers to challenges, and the work.

SIGTERM and SIGINT let the steps in flight finish; a second one ends it at once.
SIGHUP reads the configuration again: log levels, solvers, trusted proxies,
outbound networks and the sealing key are taken over, the rest is named as waiting
for a restart.
When systemd started it, systemd is told when it is ready.

With --read-only it only shows a copy of a database, such as a backup: nothing is
ordered, delivered or written. Beside a manager that runs it needs an address of
its own: set CERTFLEET_LISTEN_API.`,
		Example: "  certfleet serve\n  certfleet serve --config ./certfleet.yaml\n  certfleet serve --read-only backup.db",
		Args:    none,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context(), readOnly) },
	}
	cmd.Flags().StringVar(&readOnly, "read-only", "", "only show the database in this `FILE`")
	cmd.MarkFlagFilename("read-only", "db")
	return cmd
}

func (p *program) serve(ctx context.Context, readOnly string) error {
	c, err := config.Load(p.flags.config)
	if err != nil {
		return err
	}
	log, levels := app.NewLog(p.Err, c.Log)
	for _, w := range c.Warnings {
		log.Warn(w)
	}
	o := app.Options{Log: log}
	if readOnly != "" {
		if o, err = app.ReadOnly(c, readOnly, log); err != nil {
			return err
		}
	}
	a, err := app.New(ctx, c, o)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.Keys.Check(ctx); err != nil && readOnly == "" {
		return err
	}
	return p.runManager(ctx, a, levels)
}

// runManager runs until ctx ends, and reloads whenever somebody asks for it.
func (p *program) runManager(ctx context.Context, a *app.App, levels *app.Levels) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	ready := a.Ready()
	for {
		select {
		case err := <-ended:
			return err
		case <-ready:
			ready = nil
			p.say("certfleet %s listens on %s", certfleet.Release, strings.Join(addresses(a), ", "))
			notify("READY=1")
		case <-hup:
			notify("RELOADING=1")
			reload(a, levels)
			notify("READY=1")
		case <-ctx.Done():
			notify("STOPPING=1")
			a.Log.Info("ending; steps in flight finish first", "grace", fmt.Sprint(a.Work.Grace))
			return <-ended
		}
	}
}

func addresses(a *app.App) []string {
	var out []string
	scheme := "https"
	if a.Config.TLS.Plain {
		scheme = "http"
	}
	for _, l := range []struct{ name, form string }{{"api", scheme + "://%s"}, {"http01", "%s (http-01)"}, {"tlsalpn01", "%s (tls-alpn-01)"}, {"edge", "%s (lookups of edges)"}} {
		if at := a.Addr(l.name); at != "" {
			out = append(out, fmt.Sprintf(l.form, at))
		}
	}
	if len(out) == 0 {
		return []string{"nothing"}
	}
	return out
}

func reload(a *app.App, levels *app.Levels) {
	got, err := a.Reload()
	if err != nil {
		for _, e := range single(err) {
			a.Log.Error("the configuration was not taken over", "err", e, "advice", certfleet.AdviceOf(e))
		}
		return
	}
	levels.Set(got.Config.Log)
	a.Log.LogAttrs(context.Background(), slog.LevelInfo, "the configuration was read again", slog.Any("in_force", got.Changed), slog.Any("after_restart", got.Restart))
}
