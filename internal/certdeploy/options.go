package certdeploy

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// options are what a command line and the environment say; the command line wins.
type options struct {
	flags *flag.FlagSet
	about string
	list  []*option
	given map[string]bool // on the command line
}

type option struct {
	name, arg, usage string
	env              []string
	set              func(string) error
}

func newOptions(name, about string) *options {
	o := &options{flags: flag.NewFlagSet(name, flag.ContinueOnError), about: about, given: map[string]bool{}}
	o.flags.SetOutput(io.Discard)
	return o
}

// text is an option with a value; the first of the variables that is not empty
// stands in for it.
func (o *options) text(name, arg, usage string, env ...string) *string {
	v := new(string)
	x := &option{name: name, arg: arg, usage: usage, env: env, set: func(s string) error { *v = s; return nil }}
	o.flags.Func(name, usage, func(s string) error { o.given[name] = true; return x.set(s) })
	o.list = append(o.list, x)
	return v
}

// level is text that has to be the name of a log level.
func (o *options) level(name, usage string, env ...string) *string {
	v := o.text(name, "LEVEL", usage, env...)
	o.list[len(o.list)-1].set = func(s string) error {
		_, err := parseLevel(s)
		*v = strings.ToUpper(s)
		return err
	}
	return v
}

// boolean is an option with a --no- form, which also overrides a variable.
func (o *options) boolean(name, usage string, env ...string) *bool {
	v := new(bool)
	x := &option{name: name, usage: usage, env: env, set: func(s string) (err error) { *v, err = truth(s); return err }}
	say := func(to bool) func(string) error {
		return func(s string) error {
			b, err := truth(s)
			o.given[name], *v = true, b == to
			return err
		}
	}
	o.flags.BoolFunc(name, usage, say(true))
	o.flags.BoolFunc("no-"+name, usage, say(false))
	o.list = append(o.list, x)
	return v
}

// truth reads the words that stand for true and false in the environment.
func truth(s string) (bool, error) {
	switch w := strings.ToLower(strings.TrimSpace(s)); {
	case slices.Contains([]string{"1", "true", "t", "yes", "y", "on"}, w):
		return true, nil
	case slices.Contains([]string{"0", "false", "f", "no", "n", "off"}, w):
		return false, nil
	}
	return false, fmt.Errorf("'%.30s' is not a valid boolean", s)
}

// parse reads args and then the environment.
func (o *options) parse(args []string) error {
	if err := o.flags.Parse(args); err != nil {
		if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
			return fmt.Errorf("No such option: --%s", name) //lint:ignore ST1005 the original's words
		}
		return err
	}
	if o.flags.NArg() > 0 {
		return fmt.Errorf("Got unexpected extra argument (%s)", o.flags.Arg(0)) //lint:ignore ST1005 the original's words
	}
	for _, x := range o.list {
		if o.given[x.name] {
			continue
		}
		for _, name := range x.env {
			if v := os.Getenv(name); v != "" {
				if err := x.set(v); err != nil {
					return fmt.Errorf("Invalid value for '--%s' (env var: '%s'): %w", x.name, name, err) //lint:ignore ST1005 the original's words
				}
				break
			}
		}
	}
	return nil
}

// run parses, or answers the exit status at which the program ends already.
func (o *options) run(args []string, out, complaints io.Writer) (status int, goOn bool) {
	switch err := o.parse(args); {
	case errors.Is(err, flag.ErrHelp):
		o.help(out)
		return 0, false
	case err != nil:
		fmt.Fprintf(complaints, "Usage: %s [OPTIONS]\nTry '%[1]s --help' for help.\n\nError: %[2]v\n", o.flags.Name(), err)
		return 2, false
	}
	return 0, true
}

func (o *options) help(w io.Writer) {
	fmt.Fprintf(w, "%s\n\nUsage\n  %s [OPTIONS]\n\nOptions\n", o.about, o.flags.Name())
	for _, x := range o.list {
		name := strings.TrimSpace("--" + x.name + " " + x.arg)
		if x.arg == "" {
			name += ", --no-" + x.name
		}
		env := ""
		if len(x.env) > 0 {
			env = " ($" + x.env[0] + ")"
		}
		fmt.Fprintf(w, "  %-34s  %s%s\n", name, x.usage, env)
	}
}

// Flag is one option of a program, for whoever lists them.
type Flag struct {
	Name, Usage string
	Text        bool // takes a value
}

func (o *options) all() (out []Flag) {
	for _, x := range o.list {
		out = append(out, Flag{x.name, x.usage, x.arg != ""})
	}
	return out
}

// ServerFlags are the options of certdeploy-server.
func ServerFlags() []Flag { return newServerOptions().all() }
