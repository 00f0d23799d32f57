package cli

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet/internal/config"
)

func (p *program) cronCommand() *cobra.Command {
	var user, http01 string
	cmd := &cobra.Command{
		Use:   "cron",
		Short: "Print what makes cron or systemd do the work now and then",
		Long: `Print a crontab line, and a systemd timer with its service, that run certfleet run
--once every hour at a random minute, so that not all of the world asks its CA at
the same moment. A host with certfleet serve needs neither.`,
		Example: "  certfleet cron\n  certfleet cron --http01 :5002 --user certfleet",
		Args:    none,
		RunE:    func(*cobra.Command, []string) error { return p.cron(user, http01) },
	}
	cmd.Flags().StringVar(&user, "user", "certfleet", "the `USER` to run as")
	cmd.Flags().StringVar(&http01, "http01", "", "where http-01 challenges are answered, `HOST:PORT` (default as configured)")
	return cmd
}

func (p *program) cron(user, http01 string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	run := program + " run --once"
	if path := configPath(p.flags.config); path != config.DefaultPath {
		if path, err = filepath.Abs(path); err != nil {
			return err
		}
		run += " --config " + path
	}
	if http01 != "" {
		run += " --http01 " + http01
	}
	minute := rand.IntN(60)
	text := map[string]string{
		"crontab": fmt.Sprintf("%d * * * * %s %s", minute, user, run),
		"timer":   fmt.Sprintf("[Unit]\nDescription=Keep certificates valid, hourly\n\n[Timer]\nOnCalendar=*-*-* *:%02d:00\nRandomizedDelaySec=300\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n", minute),
		"service": fmt.Sprintf("[Unit]\nDescription=Keep certificates valid\nAfter=network-online.target\nWants=network-online.target\n\n[Service]\nType=oneshot\nUser=%s\nExecStart=%s\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nTimeoutStartSec=1h\n", user, run),
	}
	return p.answered(text, func() {
		p.say("# /etc/cron.d/certfleet\n%s\n", text["crontab"])
		p.say("# or: /etc/systemd/system/certfleet-run.timer\n%s", text["timer"])
		p.say("# with: /etc/systemd/system/certfleet-run.service\n%s", text["service"])
	})
}
