package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/solver/acmedns"
	"github.com/certfleet/certfleet/internal/store"
)

// acmednsActs is what the API does with the solvers of type acmedns.
type acmednsActs struct{ app *App }

// Servers are those of the configuration, in its order.
func (x acmednsActs) Servers() []api.ACMEDNSServer {
	out := []api.ACMEDNSServer{}
	for _, s := range x.app.Config.Solvers {
		var c acmedns.Config
		if s.Type != "acmedns" || s.Decode(&c) != nil {
			continue
		}
		out = append(out, api.ACMEDNSServer{ID: int64(len(out) + 1), Solver: s.Label, URL: c.Server})
	}
	return out
}

// Ensure gives each name an account, unless it has one.
func (x acmednsActs) Ensure(ctx context.Context, solver string, names []certfleet.Name) ([]api.Delegation, error) {
	s, err := x.app.ACMEDNS(solver)
	if err != nil {
		return nil, err
	}
	rows := s.Ensure(ctx, names)
	return api.All(rows, func(r *Delegation) api.Delegation { return ofDelegation(*r) }), x.note(ctx, solver, rows)
}

// Adopt keeps an account that exists.
func (x acmednsActs) Adopt(ctx context.Context, solver string, a api.ACMEDNSAccount) (api.Delegation, error) {
	s, err := x.app.ACMEDNS(solver)
	if err != nil {
		return api.Delegation{}, err
	}
	if err := checkCredential(a); err != nil {
		return api.Delegation{}, err
	}
	// The form is that of the files which are imported; the error would quote none of it.
	file, err := json.Marshal(map[string]any{a.Name: map[string]any{"username": a.Username, "password": a.Password, "fulldomain": a.FullDomain, "subdomain": a.SubDomain, "allowfrom": a.AllowFrom}})
	if err != nil {
		return api.Delegation{}, errors.New("the account cannot be read")
	}
	rows, err := s.Import(ctx, bytes.NewReader(file), a.Replace)
	switch {
	case err != nil:
		return api.Delegation{}, err
	case rows[0].Err != nil:
		return api.Delegation{}, rows[0].Err
	}
	return ofDelegation(rows[0]), x.note(ctx, solver, rows)
}

// Audit looks whether the names' CNAMEs lead to their accounts.
func (x acmednsActs) Audit(ctx context.Context, solver string, names []certfleet.Name) ([]api.DelegationFinding, error) {
	s, err := x.app.ACMEDNS(solver)
	if err != nil {
		return nil, err
	}
	return api.All(s.Audit(ctx, names), func(f *DelegationFinding) api.DelegationFinding {
		d := api.DelegationFinding{Delegation: ofDelegation(f.Row), CNAME: f.CNAME, TXT: f.TXT}
		d.Problem, d.Advice = f.Problem, f.Advice
		return d
	}), nil
}

// Check asks a solver's server whether it is well.
func (x acmednsActs) Check(ctx context.Context, solver string) error {
	s, err := x.app.ACMEDNS(solver)
	if err != nil {
		return err
	}
	return s.Health(ctx)
}

// checkCredential refuses what could not be sent to an acme-dns server. It quotes
// nothing: one of them is a secret.
func checkCredential(a api.ACMEDNSAccount) error {
	for _, s := range []string{a.Username, a.Password, a.SubDomain} {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return &certfleet.Error{Kind: certfleet.Invalid, Msg: "username, password or subdomain has characters that acme-dns does not give out", Advice: "give them as acme-dns answered when the account was registered"}
		}
	}
	if _, err := certfleet.ParseName(a.FullDomain); err != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "fulldomain is no host name", Advice: "give it as acme-dns answered when the account was registered"}
	}
	return nil
}

func ofDelegation(r Delegation) api.Delegation {
	d := api.Delegation{Name: r.Name, Record: r.Record, Target: r.Target, New: r.New}
	if r.Err != nil {
		d.Problem, d.Advice = r.Err.Error(), certfleet.AdviceOf(r.Err)
		if e, ok := errors.AsType[*certfleet.Error](r.Err); ok {
			d.Problem = e.Msg
		}
	}
	return d
}

// note puts on record which names got an account.
func (x acmednsActs) note(ctx context.Context, solver string, rows []Delegation) error {
	return x.app.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error {
		for _, r := range rows {
			if !r.New {
				continue
			}
			if err := tx.Event(ctx, certfleet.Event{Kind: "acmedns.account", Msg: r.Name + " has an account at the acme-dns server of solver " + solver}); err != nil {
				return err
			}
		}
		return nil
	})
}
