package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
)

// running are the flags of run.
type running struct {
	once              bool
	patience          duration
	http01, tlsalpn01 string
}

func (p *program) runCommand() *cobra.Command {
	r := running{patience: duration{certfleet.Duration(30 * time.Second)}}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Do all due work without a manager that runs",
		Long: `Open the database and do what is due: orders, deliveries, looks at edges. Challenges
are answered on a port that serves nothing else. It shares the work safely with a
manager that runs; one that holds the port answers its challenges too.

With --once it ends when nothing is due, which is what cron wants; without, it
goes on until it is interrupted. It ends with 1 when something failed.`,
		Example: `  certfleet run --once
  certfleet run --once --http01 :5002
  certfleet cron                           prints the lines for crontab and systemd`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context(), r) },
	}
	f := cmd.Flags()
	f.BoolVar(&r.once, "once", false, "end when nothing is due")
	f.Var(&r.patience, "patience", "with --once: also wait for what becomes due within this time")
	f.StringVar(&r.http01, "http01", "", "where http-01 challenges are answered, `HOST:PORT` or off (default as configured)")
	f.StringVar(&r.tlsalpn01, "tlsalpn01", "", "where tls-alpn-01 challenges are answered, `HOST:PORT` or off (default as configured)")
	return cmd
}

func (p *program) run(ctx context.Context, r running) error {
	c, err := config.Load(p.flags.config)
	if err != nil {
		return err
	}
	c.Listen.API, c.Listen.Edge, c.Listen.Agents = config.Off, config.Off, config.Off
	if err := listen(&c.Listen.HTTP01, r.http01); err != nil {
		return err
	}
	if err := listen(&c.Listen.TLSALPN01, r.tlsalpn01); err != nil {
		return err
	}
	log, _ := app.NewLog(p.Err, quiet(c.Log))
	a, err := app.New(ctx, c, app.Options{Log: log})
	if err != nil {
		return err
	}
	defer a.Close()
	failed, err := p.watched(ctx, a, r)
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of what was due failed; certfleet list --state failing and certfleet deliveries --state failed say why", failed)
	}
	return err
}

func listen(to *config.Address, text string) error {
	if text == "" {
		return nil
	}
	return to.UnmarshalText([]byte(text))
}

// watched runs and tells what happens as it happens; it counts what failed.
func (p *program) watched(ctx context.Context, a *app.App, r running) (failed int, err error) {
	stop, told := make(chan struct{}), make(chan error, 1)
	did := 0
	b := p.busy("looking for due work")
	go func() {
		told <- a.Watch(context.WithoutCancel(ctx), stop, func(e certfleet.Event) {
			did++
			if failure(e.Kind) {
				failed++
			}
			p.event(shape(e))
			b.set("%s", e.Msg)
		})
	}()
	if r.once {
		err = a.RunOnce(ctx, time.Duration(r.patience.d))
	} else {
		err = a.Run(ctx)
	}
	close(stop)
	err = errors.Join(err, <-told)
	b.end()
	if err == nil && did == 0 {
		p.note("nothing was due")
	}
	return failed, err
}

// failure reports whether an event tells of something that went wrong.
func failure(kind string) bool {
	return strings.HasSuffix(kind, ".failed") || kind == "certificate.blocked"
}
