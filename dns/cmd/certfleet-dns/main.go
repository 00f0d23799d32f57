// Command certfleet-dns puts TXT records at DNS providers. It links lego's
// providers, is started by certfleet with one credential in its environment, and
// speaks JSON lines with it on standard input and output.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/certfleet/certfleet/dns/catalogue"
)

// release is set by the linker.
var release = "dev"

const usage = `certfleet-dns puts TXT records at DNS providers for certfleet.

  certfleet-dns list              the providers' names
  certfleet-dns help PROVIDER     the environment variables a provider reads
  certfleet-dns serve PROVIDER [--resolvers HOST:PORT,...]
                                  what certfleet starts: requests come in as JSON
                                  lines, answers go out as JSON lines
  certfleet-dns version
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "certfleet-dns:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "list":
		return list(os.Stdout)
	case len(args) == 2 && args[0] == "help":
		return help(os.Stdout, args[1])
	case len(args) >= 2 && args[0] == "serve":
		return serve(args[1], args[2:])
	case len(args) == 1 && args[0] == "version":
		_, err := fmt.Println("certfleet-dns", release)
		return err
	case len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h":
		_, err := fmt.Print(usage)
		return err
	}
	return errors.New("these words are not known; see certfleet-dns help")
}

func list(w io.Writer) error {
	all, err := catalogue.All()
	if err != nil {
		return err
	}
	for _, e := range all {
		if _, err := fmt.Fprintln(w, e.Name); err != nil {
			return err
		}
	}
	return nil
}

func help(w io.Writer, name string) error {
	e, ok := catalogue.Find(name)
	if !ok {
		return unknown(name)
	}
	_, err := fmt.Fprintf(w, "%s: %s\n\nVariables it needs (some are alternatives to each other):\n%s\nFurther variables:\n%s\nWhat each means: %s\n",
		e.Name, e.Title, column(e.Credentials), column(e.Settings), e.URL())
	return err
}

func column(names []string) string {
	if len(names) == 0 {
		return "  none\n"
	}
	return "  " + strings.Join(names, "\n  ") + "\n"
}

func unknown(name string) error {
	if near := catalogue.Near(name); len(near) > 0 {
		return fmt.Errorf("provider %q is not known; did you mean %s?", name, strings.Join(near, ", "))
	}
	return fmt.Errorf("provider %q is not known; see certfleet-dns list", name)
}
