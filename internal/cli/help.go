package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// help writes what a command is for, how it is called, and examples first of
// all, because they are what most people came for.
func (p *program) help(cmd *cobra.Command, _ []string) {
	w := p.Out
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(w, "%s\n", strings.TrimSpace(text))
	p.helpBody(w, cmd)
}

func (p *program) usage(cmd *cobra.Command) error {
	p.helpBody(p.Err, cmd)
	return nil
}

func (p *program) helpBody(w io.Writer, cmd *cobra.Command) {
	heading := func(s string) { fmt.Fprintf(w, "\n%s\n", p.paint(bold, s)) }
	heading("Usage")
	fmt.Fprintf(w, "  %s\n", useLine(cmd))
	if cmd.Example != "" {
		heading("Examples")
		fmt.Fprintln(w, strings.TrimRight(cmd.Example, "\n"))
	}
	for _, g := range cmd.Groups() {
		heading(g.Title)
		listCommands(w, cmd, g.ID)
	}
	if cmd.HasAvailableSubCommands() {
		if len(cmd.Groups()) > 0 {
			heading("More")
		} else {
			heading("Commands")
		}
		listCommands(w, cmd, "")
	}
	if own := cmd.NonInheritedFlags(); own.HasAvailableFlags() && cmd.HasParent() {
		heading("Flags")
		listFlags(w, own)
	}
	if cmd.HasParent() {
		fmt.Fprintf(w, "\nFlags of every command: see certfleet --help.\n")
		return
	}
	heading("Flags of every command")
	listFlags(w, cmd.PersistentFlags())
	fmt.Fprintf(w, "\ncertfleet COMMAND --help tells more about each.\n")
}

func useLine(cmd *cobra.Command) string {
	switch {
	case !cmd.HasParent():
		return "certfleet COMMAND [FLAGS]"
	case cmd.HasAvailableSubCommands():
		return cmd.CommandPath() + " COMMAND [FLAGS]"
	case cmd.HasAvailableLocalFlags():
		return cmd.UseLine() + " [FLAGS]"
	}
	return cmd.UseLine()
}

func listCommands(w io.Writer, cmd *cobra.Command, group string) {
	wide := 0
	for _, c := range cmd.Commands() {
		wide = max(wide, len(c.Name()))
	}
	list := cmd.Commands()
	if group != "" {
		list = slices.Clone(list)
	}
	for _, c := range list {
		if c.GroupID == group && c.IsAvailableCommand() && c.Name() != "help" {
			fmt.Fprintf(w, "  %-*s  %s\n", wide, c.Name(), c.Short)
		}
	}
}

// listFlags writes one flag a line, its explanation in a column of its own.
func listFlags(w io.Writer, set *pflag.FlagSet) {
	type line struct{ flag, usage string }
	var lines []line
	wide := 0
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		l := line{"  --" + f.Name, usage}
		if f.Shorthand != "" {
			l.flag = "  -" + f.Shorthand + ", --" + f.Name
		}
		if name != "" {
			l.flag += " " + strings.ToUpper(name)
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" && d != "-1" {
			l.usage += " (default " + d + ")"
		}
		wide = max(wide, len(l.flag))
		lines = append(lines, l)
	})
	for _, l := range lines {
		fmt.Fprintf(w, "%-*s  %s\n", wide, l.flag, l.usage)
	}
}
