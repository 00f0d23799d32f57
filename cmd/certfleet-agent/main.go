// Command certfleet-agent is the receiving side beside a service: it takes
// certificates by SFTP, brings them to where the service reads them, and tells it.
package main

import (
	"os"

	"github.com/certfleet/certfleet/internal/agent"
)

func main() { os.Exit(agent.Main(os.Args[1:], os.Stdout, os.Stderr)) }
