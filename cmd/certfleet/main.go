// Command certfleet keeps every host name of a hosting fleet on a valid
// certificate. It is server and command line in one: see certfleet help.
package main

import (
	"os"

	"github.com/certfleet/certfleet/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
