package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/certfleet/certfleet"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // something that was tried went wrong
	exitInput  = 2 // the command or its input cannot be used as it is
	exitDenied = 3 // not reached, not allowed, or not now
)

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

// Error is what cobra says of it, in our words.
func (e *usageError) Error() string { return e.err.Error() }

// Unwrap returns what may carry advice.
func (e *usageError) Unwrap() error { return e.err }

// errSilent ends a command with exitFailed when all was said already.
var errSilent = errors.New("")

// report tells what went wrong and what to do about it, and answers the exit code.
func (p *program) report(err error) int {
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errSilent) {
		for _, e := range single(err) {
			p.explain(e)
		}
	}
	return exitCode(err)
}

func (p *program) explain(err error) {
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	fmt.Fprintf(p.Err, "error: %s\n", indented(err.Error()))
	advice := certfleet.AdviceOf(err)
	if p.bare && certfleet.KindOf(err) == certfleet.Denied {
		advice = "set " + tokenEnv + " to a token, write --token file:/path/to/token, or add --offline on the manager's own host"
	}
	if _, ok := err.(*usageError); ok && advice == "" {
		advice = "see certfleet help for the commands, and --help of each for its flags"
	}
	if advice != "" {
		fmt.Fprintf(p.Err, "advice: %s\n", indented(advice))
	}
	if at := certfleet.RetryOf(err); !at.IsZero() {
		fmt.Fprintf(p.Err, "retry: %s\n", when(at, p.now()))
	}
}

// indented keeps what has several lines together.
func indented(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") }

// single takes apart what several problems were joined into.
func single(err error) []error {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range many.Unwrap() {
		all = append(all, single(e)...)
	}
	return all
}

func exitCode(err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitInput
	}
	switch certfleet.KindOf(err) {
	case certfleet.Invalid, certfleet.NotFound, certfleet.Conflict:
		return exitInput
	case certfleet.Denied, certfleet.Unreachable, certfleet.Limited:
		return exitDenied
	}
	return exitFailed
}

// invalid is bad input, with what to write instead.
func invalid(advice, format string, args ...any) *certfleet.Error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf(format, args...), Advice: advice}
}

// flagProblem says what is wrong with a flag, and what was most likely meant.
func flagProblem(cmd *cobra.Command, err error) error {
	path := cmd.CommandPath()
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if why, ok := errors.AsType[*certfleet.Error](err); ok {
			return &usageError{invalid(why.Advice, "%s --%s: %s", path, bad.GetFlag().Name, why.Msg)}
		}
	}
	if none, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if near := nearest(none.GetSpecifiedName(), flagNames(cmd)); near != "" {
			return &usageError{invalid(fmt.Sprintf("write --%s; see %s --help", near, path), "%s: %s", path, err)}
		}
	}
	said, _, _ := strings.Cut(err.Error(), ": strconv.")
	return &usageError{invalid(fmt.Sprintf("see %s --help", path), "%s: %s", path, said)}
}

func flagNames(cmd *cobra.Command) (out []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { out = append(out, f.Name) })
	return out
}

// noSuch is for commands that take subcommands: any word here is a wrong one.
func (p *program) noSuch(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	advice := fmt.Sprintf("see %s --help", cmd.CommandPath())
	if near := nearest(args[0], names(cmd)); near != "" {
		advice = fmt.Sprintf("write %s %s", cmd.CommandPath(), near)
	}
	return &usageError{invalid(advice, "there is no command %q", strings.TrimSpace(cmd.CommandPath()+" "+args[0]))}
}

func names(cmd *cobra.Command) []string {
	var out []string
	for _, c := range cmd.Commands() {
		out = append(append(out, c.Name()), c.Aliases...)
	}
	return out
}

// args checks how many words follow a command; what says which.
func args(low, high int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, got []string) error {
		advice := fmt.Sprintf("write %s; see %s --help", cmd.UseLine(), cmd.CommandPath())
		switch {
		case len(got) < low, slices.Contains(got, ""):
			return &usageError{invalid(advice, "%s needs %s", cmd.CommandPath(), what)}
		case high >= 0 && len(got) > high:
			return &usageError{invalid(advice, "%s takes %s, and %q is too much", cmd.CommandPath(), what, got[high])}
		}
		return nil
	}
}

// none is for commands that take no words.
func none(cmd *cobra.Command, got []string) error {
	if len(got) == 0 {
		return nil
	}
	return &usageError{invalid(fmt.Sprintf("see %s --help", cmd.CommandPath()), "%s takes flags only, and %q is none", cmd.CommandPath(), got[0])}
}

// group makes a command that stands for its subcommands; run is what it does
// alone, nil for nothing.
func (p *program) group(cmd *cobra.Command, run func(*cobra.Command) error, subs ...*cobra.Command) *cobra.Command {
	cmd.Args = p.noSuch
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if run != nil {
			return run(cmd)
		}
		return &usageError{invalid(fmt.Sprintf("write %s and one of %s", cmd.CommandPath(), strings.Join(names(cmd), ", ")), "%s alone does nothing", cmd.CommandPath())}
	}
	cmd.AddCommand(subs...)
	return cmd
}

// say writes one line for a person; with --json it goes to where it disturbs no program.
func (p *program) say(format string, args ...any) {
	var w io.Writer = p.Out
	if p.flags.json {
		w = p.Err
	}
	fmt.Fprintf(w, format+"\n", args...)
}

// note writes one line beside the answer.
func (p *program) note(format string, args ...any) { fmt.Fprintf(p.Err, format+"\n", args...) }

// bounded is ctx with an end.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}
