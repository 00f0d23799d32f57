package demo

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
)

// missingName is not in the demo's DNS, so that its order must fail.
const missingName = "gone.demo.test"

// wishes are the certificates of the demo.
var wishes = []wish{
	{names: []string{"shop.demo.test"}, policy: "short", how: "one name, by http-01", nginx: true},
	{names: []string{"customer.test", "www.customer.test", "blog.customer.test"}, policy: "default", how: "three names, by http-01", nginx: true},
	{names: []string{"*.apps.demo.test"}, policy: "short", how: "a wildcard, by dns-01", nginx: true},
	{names: []string{"127.0.0.1"}, policy: "short", how: "an address, by http-01"},
	{names: []string{"secure.demo.test"}, policy: "alpn", how: "one name with a P-384 key, by tls-alpn-01"},
	{names: []string{"mail.demo.test"}, policy: "default", how: "one name, by http-01, pushed to an agent", target: "agent"},
	{names: []string{missingName}, policy: "default", how: "a name that is not in DNS", fails: true},
}

// wish is a certificate to ask for; its label is its first name.
type wish struct {
	names  []string
	policy string
	how    string
	target string // edge if empty
	nginx  bool   // also to nginx, where there is one
	fails  bool   // it must fail, and say why
}

func (w wish) place() string { return cmp.Or(w.target, "edge") }

// policies are how the demo's certificates are got.
var policies = map[string]certfleet.PolicySpec{
	"default": {Authorities: []string{"pebble"}, Profile: classic},
	"short":   {Authorities: []string{"pebble"}, Profile: shortlived},
	"alpn":    {Authorities: []string{"pebble"}, Profile: classic, Challenge: certfleet.TLSALPN01, KeyType: certfleet.P384},
}

// fleet is all that the demo wants, and how far each has come.
type fleet struct {
	db     *store.DB
	intake intake.Room
	cursor store.EventCursor
	tracks []*track
	byID   map[int64]*track
	beside int64 // the target that leads to nginx, zero without it
}

// settle writes what there has to be before the manager runs: where the CA is,
// who we are there, how and whither certificates go, and the token for the API.
// In the folder of an earlier demo it brings the rows up to this one.
func settle(ctx context.Context, db *store.DB, h *home, ca *pebble.CA, targets []place) (*fleet, error) {
	f := &fleet{db: db, intake: intake.Room{DB: db}, byID: map[int64]*track{}}
	if err := h.newToken(); err != nil {
		return nil, err
	}
	err := db.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		r := rows{tx: tx, run: fmt.Sprintf("demo-%d", tx.Now().UnixMilli())}
		return r.write(ctx, h, ca, targets)
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the demo: %w", err)
	}
	for _, p := range targets {
		if p.label != besideLabel {
			continue
		}
		g, err := db.TargetByLabel(ctx, certfleet.DefaultTenant, p.label)
		if err != nil {
			return nil, err
		}
		f.beside = g.ID
	}
	f.cursor, err = db.LastEvent(ctx)
	return f, err
}

// ask asks for the certificates, as an operator would; those of an earlier demo
// are renewed, because its CA is gone.
func (f *fleet) ask(ctx context.Context) error {
	for _, w := range wishes {
		res, err := f.intake.Add(ctx, api.NewCertificate{Names: w.names, Policy: w.policy, Targets: f.targetsOf(w), Labels: map[string]string{"demo": "yes"}, Update: true}, "operator")
		if err != nil {
			return fmt.Errorf("ask for %s: %w", w.names[0], err)
		}
		if !res.Created {
			if _, err := f.intake.Renew(ctx, res.Certificate.ID, api.Renewal{Force: true}); err != nil {
				return fmt.Errorf("renew %s: %w", w.names[0], err)
			}
		}
		t := newTrack(w, res.Certificate, time.Now())
		f.tracks, f.byID[t.id] = append(f.tracks, t), t
	}
	return nil
}

// settled reports whether every name is where it should be.
func (f *fleet) settled() bool {
	for _, t := range f.tracks {
		if !t.settled() {
			return false
		}
	}
	return true
}
