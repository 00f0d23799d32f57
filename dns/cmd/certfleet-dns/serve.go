package main

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/certfleet/certfleet/dns/catalogue"
	"github.com/certfleet/certfleet/dns/child"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/log"
	"github.com/go-acme/lego/v5/providers/dns"
)

// serve speaks with the parent until it goes. Standard output belongs to the
// protocol alone, and lego logs to it, so it is moved out of the way first.
func serve(name string, flags []string) error {
	out := os.Stdout
	os.Stdout = os.Stderr
	log.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err := resolve(flags); err != nil {
		return err
	}
	if _, ok := catalogue.Find(name); !ok {
		return refuse(out, unknown(name))
	}
	p, err := dns.NewDNSChallengeProviderByName(name)
	if err != nil {
		return refuse(out, err)
	}
	// The parent ends the child by closing its input. A signal that a terminal
	// or service manager sends to both must not cost the clean-up. It is caught,
	// not ignored, because what a provider starts would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	return child.Serve(os.Stdin, out, release, name, p)
}

var errRefused = errors.New("the provider could not be made")

func refuse(out *os.File, err error) error {
	return errors.Join(errRefused, child.Refuse(out, err))
}

// resolve sets the recursive servers that providers find zones and CNAMEs with.
func resolve(flags []string) error {
	switch {
	case len(flags) == 0:
		return nil
	case len(flags) == 2 && flags[0] == "--resolvers":
		dns01.SetDefaultClient(dns01.NewClient(&dns01.Options{RecursiveNameservers: strings.Split(flags[1], ","), Timeout: 10 * time.Second}))
		return nil
	}
	return errors.New("serve takes a provider and --resolvers HOST:PORT,... alone")
}
