package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/store"
)

// Adopted is one version that was issued since the backup was made, and that the
// restored database did not know.
type Adopted struct {
	Names       []string  `json:"names"`
	Certificate string    `json:"certificate,omitempty"`
	Authority   string    `json:"authority,omitempty"`
	Where       string    `json:"where"` // it was met: at a CA, a target or an address
	Serial      string    `json:"serial,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"` // where nothing else is known of it
	VersionID   int64     `json:"version_id,omitempty"`  // zero where only the report has it
	NotAfter    time.Time `json:"not_after,omitzero"`
	KeyHere     bool      `json:"key_here"`
	InUse       bool      `json:"in_use"` // its key is here, so it was put to use
	Due         bool      `json:"due"`    // its key is not here, so its certificate is renewed now
}

// Say is that in a sentence.
func (a Adopted) Say() string {
	about := fmt.Sprintf("%s: serial %s for %v, valid until %s, was issued after the backup (%s)", a.label(), a.Serial, a.Names, a.NotAfter.Format(time.DateOnly), a.Where)
	if a.Fingerprint != "" {
		about = fmt.Sprintf("%s: a certificate that the backup does not know, fingerprint %s (%s)", a.label(), a.Fingerprint, a.Where)
	}
	switch {
	case a.InUse:
		return about + "; its key is here, and it is in use"
	case a.Due:
		return about + "; its key was made after the backup; it will be replaced, and a new one is due now"
	case a.KeyHere:
		return about + "; it is on record, and nothing here waits for it"
	}
	return about + "; its key was made after the backup, and nothing here waits for it"
}

func (a Adopted) label() string {
	if a.Certificate != "" {
		return a.Certificate
	}
	return "of no certificate here"
}

// Adoption is what AdoptIssued found.
type Adoption struct {
	Adopted []Adopted `json:"adopted"`
	Orders  int       `json:"orders"`  // live orders of the backup that their CA was asked for
	Looked  int       `json:"looked"`  // certificates whose edges were looked at
	Unseen  int       `json:"unseen"`  // of these, where nothing could be seen
	Missed  []string  `json:"missed"`  // what could not be asked or seen, the first of them
	Refused int       `json:"refused"` // live orders that the CA no longer keeps
}

// mostMissed bounds how much of what went wrong is told one by one.
const mostMissed = 20

// adopter collects what went on since a backup.
type adopter struct {
	*App
	say func(what string)

	mu  sync.Mutex
	out Adoption // guarded by mu
}

// AdoptIssued finds what went on since the backup was made, and takes over what
// it can. In this order: the CAs are asked for the orders that were open; targets
// on this machine are read, key and all; CAs that list orders (RFC 8555 section
// 7.1.2.1) are asked for what they issued; and what edges serve is looked at.
//
// A chain whose key is here becomes a version in use. One whose key is not here
// makes its certificate due. What fails is told, and stops nothing else.
func AdoptIssued(ctx context.Context, c *config.Config, into string, say func(what string)) (*Adoption, error) {
	if into != "" {
		c.Database = config.Database(into)
	}
	a, err := New(ctx, c, Options{})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	d := &adopter{App: a, say: say}
	ctx = store.WithActor(ctx, "user:restore")
	for _, step := range []func(context.Context) error{d.liveOrders, d.folders, d.accounts, d.looks} {
		if err := step(ctx); err != nil {
			return &d.out, err
		}
	}
	return &d.out, nil
}

// missed keeps what went wrong with one thing; only the end of ctx ends it all.
func (a *adopter) missed(ctx context.Context, what string, err error) error {
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.out.Missed) < mostMissed {
		a.out.Missed = append(a.out.Missed, what+": "+err.Error())
	}
	return nil
}

// certificates hands on all that are wanted.
func (a *adopter) certificates(ctx context.Context, each func(*certfleet.Certificate) error) error {
	for f := (store.CertificateFilter{Limit: 500}); ; {
		list, next, err := a.DB.Certificates(ctx, f)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].State == certfleet.Removed {
				continue
			}
			if err := each(&list[i]); err != nil {
				return err
			}
		}
		if next == (store.Cursor{}) {
			return nil
		}
		f.After = next
	}
}
