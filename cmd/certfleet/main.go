// Command certfleet keeps every host name of a hosting fleet on a valid
// certificate. It is server and command line in one: see certfleet help.
package main

import (
	"io"
	"os"
	"path/filepath"

	"github.com/certfleet/certfleet/internal/certdeploy"
	"github.com/certfleet/certfleet/internal/cli"
)

// programs are older systems' own programs, which this binary is when it is
// called by their names.
var programs = map[string]func(args []string, out, complaints io.Writer) int{
	"certdeploy-client": certdeploy.ClientMain,
	"certdeploy-server": certdeploy.ServerMain,
	"certdeploy-hook":   certdeploy.ServerMain, // as its manual links it into certbot's hooks
}

func main() {
	if program := calledAs(os.Args[0]); program != nil {
		os.Exit(program(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(cli.Main(os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// calledAs finds the program by the name it was called by, or by what that name
// links to: hooks are links, and may have any name.
func calledAs(name string) func([]string, io.Writer, io.Writer) int {
	for range 8 { // links to links
		if program := programs[filepath.Base(name)]; program != nil || filepath.Base(name) == "certfleet" {
			return program
		}
		to, err := os.Readlink(name)
		if err != nil {
			return nil
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(name), to)
		}
		name = to
	}
	return nil
}
