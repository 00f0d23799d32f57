package app

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/probe"
)

// lookers is how many certificates are looked at at a time, and lookTime how
// long one may take.
const (
	lookers  = 32
	lookTime = 30 * time.Second
)

// folders reads the pairs that targets on this machine keep. What lies there was
// delivered by us, so the key that fits its chain is taken over with it.
func (a *adopter) folders(ctx context.Context) error {
	a.say("reading the targets on this machine")
	return a.certificates(ctx, func(c *certfleet.Certificate) error {
		targets, err := a.DB.TargetsOf(ctx, c.ID)
		if err != nil {
			return err
		}
		for i := range targets {
			what := fmt.Sprintf("%s at target %s", c.Label, targets[i].Label)
			if err := a.missed(ctx, what, a.folder(ctx, c, &targets[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *adopter) folder(ctx context.Context, c *certfleet.Certificate, stored *certfleet.StoredTarget) error {
	target, err := a.target(stored)
	if err != nil {
		return err
	}
	reader, ok := target.(certfleet.Reader)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	b, err := reader.Read(ctx, c.Label, a.Deliver.LastReceipt(ctx, c, stored.ID))
	if err != nil || b == nil {
		return err
	}
	defer b.KeyPEM.Wipe()
	_, key, err := pki.ParsePair(b.ChainPEM, b.KeyPEM)
	if err != nil {
		return err
	}
	return a.take(ctx, found{tenant: c.Tenant, chains: [][]byte{b.ChainPEM}, key: key, where: "read with its key from target " + stored.Label})
}

// looks asks every edge what it serves.
func (a *adopter) looks(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(lookers)
	err := a.certificates(ctx, func(c *certfleet.Certificate) error {
		work.Go(func() error { return a.looked(ctx, c) })
		return ctx.Err()
	})
	if ended := work.Wait(); ended != nil {
		return ended
	}
	return err
}

// looked looks at one certificate, and counts it.
func (a *adopter) looked(ctx context.Context, c *certfleet.Certificate) error {
	seen, err := a.look(ctx, c)
	a.mu.Lock()
	a.out.Looked++
	if !seen {
		a.out.Unseen++
	}
	if n := a.out.Looked; n%100 == 1 {
		a.say(fmt.Sprintf("looking at what edges serve, %d so far", n))
	}
	a.mu.Unlock()
	return a.missed(ctx, c.Label, err)
}

func (a *adopter) look(ctx context.Context, c *certfleet.Certificate) (seen bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	targets, err := a.DB.TargetsOf(ctx, c.ID)
	if err != nil {
		return false, err
	}
	if len(targets) == 0 && len(c.Names) > 0 { // edges fetch it themselves: its name leads to one
		return a.handshake(ctx, c, []string{net.JoinHostPort(c.Names[0].Base(), "443")})
	}
	for i := range targets {
		var one bool
		if len(targets[i].Probe) > 0 {
			one, err = a.handshake(ctx, c, targets[i].Probe)
		} else {
			one, err = a.asked(ctx, c, &targets[i])
		}
		seen = seen || one
		if err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// handshake looks at the certificate's first name: all names have one chain.
func (a *adopter) handshake(ctx context.Context, c *certfleet.Certificate, addrs []string) (seen bool, err error) {
	for _, s := range probe.LookAll(ctx, c.Names[:1], addrs, a.probe) {
		if s.Err != nil {
			err = fmt.Errorf("look at %s: %w", s.Address, s.Err)
			continue
		}
		seen = true
		f := found{tenant: c.Tenant, chains: [][]byte{pki.EncodeChain(s.Chain)}, where: "served at " + s.Address, seen: true}
		if err := a.take(ctx, f); err != nil {
			return true, err
		}
	}
	if seen {
		return true, nil
	}
	return false, err
}

// asked asks a target that has no address to look at for what it holds. It
// answers a fingerprint, so a stranger to us can only be replaced.
func (a *adopter) asked(ctx context.Context, c *certfleet.Certificate, stored *certfleet.StoredTarget) (seen bool, err error) {
	target, err := a.target(stored)
	if err != nil {
		return false, err
	}
	v, ok := target.(certfleet.Verifier)
	if !ok {
		return false, nil
	}
	held, err := v.Holds(ctx, c.Label, a.Deliver.LastReceipt(ctx, c, stored.ID))
	if err != nil || held == "" {
		return false, err
	}
	_, err = a.DB.VersionByFingerprint(ctx, c.Tenant, held)
	if certfleet.KindOf(err) != certfleet.NotFound {
		return true, err
	}
	return true, a.unknown(ctx, c, held, stored.Label)
}
