package cli

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/certfleet/certfleet/internal/demo"
)

func (p *program) demoCommand() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch it all work, on this machine alone",
		Long: `Watch it all work with nothing else installed: a CA of its own that really
validates, a DNS server, a TLS edge and a manager in one process. It asks for a
handful of names, proves each in a handshake, shows one that must fail and says
why, and then renews short-lived certificates before your eyes until it is
interrupted. Nothing leaves this machine.`,
		Example: "  certfleet demo\n  certfleet demo --once --dir ./demo\n  certfleet demo --once --json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.JSON, o.Out, o.Err = p.flags.json, p.Out, p.Err
			o.Color, o.Terminal, o.Width = p.color, isTerminal(p.Out), width(p.Out)
			return demo.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.Once, "once", false, "end when every name is served, or is known to fail")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "keep everything in this `FOLDER` (default a temporary one)")
	cmd.MarkFlagDirname("dir")
	return cmd
}

// width is how wide a terminal is, in columns, 0 when nobody knows.
func width(v any) int {
	f, ok := v.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
