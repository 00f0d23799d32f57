package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// errDry undoes the transaction of a dry run.
var errDry = errors.New("a dry run changes nothing")

// fleet is a declaration on its way in.
type fleet struct {
	Room
	api.Fleet
	given    Given              // nil when every field counts
	sealed   map[string][]byte  // HMAC keys by account label, sealed
	contacts map[int64][]string // what CAs are to be told afterwards
	out      *api.Applied
}

// ApplyFleet makes the fleet as it is declared, all of it or nothing. What the
// declaration does not name stays as it is, but the blocklist and the overrides of
// limits become what a list of them says. A dry run does the same and takes
// it back, so it says exactly what would change.
func (r Room) ApplyFleet(ctx context.Context, f api.Fleet, dry bool) (*api.Applied, error) {
	return r.ApplyGiven(ctx, f, nil, dry)
}

// ApplyGiven is ApplyFleet where a field that was left out leaves an object that
// exists as it is.
func (r Room) ApplyGiven(ctx context.Context, f api.Fleet, given Given, dry bool) (*api.Applied, error) {
	in := &fleet{Room: r, Fleet: f, given: given}
	if err := in.seal(ctx, dry); err != nil {
		return nil, err
	}
	err := r.write(ctx, func(tx *store.Tx) error {
		if err := in.write(ctx, tx); err != nil {
			return err
		}
		if dry {
			return errDry
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDry) {
		return nil, err
	}
	in.out.DryRun = dry
	if dry {
		return in.out, nil
	}
	return in.out, in.tellContacts(ctx)
}

// seal seals the HMAC keys, before the transaction: the first seal of all writes
// a data key. A dry run only reads them.
func (f *fleet) seal(ctx context.Context, dry bool) error {
	f.sealed = map[string][]byte{}
	for _, n := range f.Accounts {
		a := &certfleet.Account{Tenant: f.tenant(), Label: cmp.Or(n.Label, n.Authority)}
		if n.EABHMACKey == "" {
			continue
		}
		if _, err := ParseHMAC(n.EABHMACKey); err != nil || dry {
			if err != nil {
				return err
			}
			continue
		}
		if err := f.Seal(ctx, a, n.EABHMACKey); err != nil {
			return err
		}
		f.sealed[a.Label] = a.EABSealed
	}
	return nil
}

// write does all in the order in which one thing hangs on another.
func (f *fleet) write(ctx context.Context, tx *store.Tx) error {
	f.out, f.contacts = &api.Applied{Changes: []api.Change{}}, map[int64][]string{}
	for _, part := range []func(context.Context, *store.Tx) error{f.writeAuthorities, f.writeAccounts, f.writeOverrides, f.writePolicies, f.writeDefaults, f.writeTargets, f.writeFactories, f.writeBlocklist, f.writeCertificates} {
		if err := part(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// note counts what came of one object, and says whose error it is.
func (f *fleet) note(kind, label string, ch *api.Change, err error) error {
	if e, ok := errors.AsType[*certfleet.Error](err); ok {
		return &certfleet.Error{Kind: e.Kind, Msg: fmt.Sprintf("%s %q: %s", kind, label, e.Msg), Advice: e.Advice, Retry: e.Retry, Err: e.Err}
	}
	if err != nil {
		return fmt.Errorf("apply %s %q: %w", kind, label, err)
	}
	if ch == nil {
		f.out.Same++
	} else {
		f.out.Changes = append(f.out.Changes, *ch)
	}
	return nil
}

func (f *fleet) writeAuthorities(ctx context.Context, tx *store.Tx) error {
	for i, a := range f.Authorities {
		var ch *api.Change
		full, err := f.authority(ctx, tx, i)
		if err == nil {
			_, ch, err = f.putAuthority(ctx, tx, full, Ensure)
		}
		if err := f.note("authority", a.Label, ch, err); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) writePolicies(ctx context.Context, tx *store.Tx) error {
	for i, p := range f.Policies {
		var ch *api.Change
		full, err := f.policy(ctx, tx, i)
		if err == nil {
			_, ch, err = f.putPolicy(ctx, tx, full, Ensure)
		}
		if err := f.note("policy", p.Label, ch, err); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) writeTargets(ctx context.Context, tx *store.Tx) error {
	for i, t := range f.Targets {
		var ch *api.Change
		full, err := f.target(ctx, tx, i)
		if err == nil {
			_, ch, err = f.putTarget(ctx, tx, full, Ensure)
		}
		if err := f.note("target", t.Label, ch, err); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) writeAccounts(ctx context.Context, tx *store.Tx) error {
	for i, a := range f.Accounts {
		var ch *api.Change
		full, err := f.account(ctx, tx, i)
		if err == nil {
			ch, err = f.writeAccount(ctx, tx, full)
		}
		if err := f.note("account", cmp.Or(a.Label, a.Authority), ch, err); err != nil {
			return err
		}
	}
	return nil
}

// writeAccount makes an account that the next order registers, or brings contact
// and agreement of the one that is there to what is declared.
func (f *fleet) writeAccount(ctx context.Context, tx *store.Tx, n api.FleetAccount) (*api.Change, error) {
	is, err := tx.AccountByLabel(ctx, f.tenant(), cmp.Or(n.Label, n.Authority))
	if err != nil && !gone(err) {
		return nil, err
	}
	missing := gone(err)
	row, err := f.accountRow(ctx, tx.Q, api.NewAccount{Label: n.Label, Authority: n.Authority, Contact: n.Contact, EABKeyID: n.EABKeyID, EABHMACKey: n.EABHMACKey, Labels: n.Labels}, !missing)
	if err != nil {
		return nil, err
	}
	if missing {
		if n.Agree {
			row.AgreedAt = tx.Now()
		}
		row.EABSealed = f.sealed[row.Label]
		if err := tx.AddAccount(ctx, row); err != nil {
			return nil, err
		}
		return created("account", row.Label), f.declareDefaults(ctx, tx, row, n, &api.Change{})
	}
	if is.AuthorityID != row.AuthorityID {
		return nil, conflict("choose another label for the account", "it is at another authority, which stays")
	}
	return f.changeAccount(ctx, tx, is, row, n)
}

func (f *fleet) changeAccount(ctx context.Context, tx *store.Tx, is, row *certfleet.Account, n api.FleetAccount) (*api.Change, error) {
	ch := &api.Change{Kind: "account", Label: is.Label, Action: "update"}
	if !slices.Equal(is.Contact, row.Contact) {
		ch.Fields = append(ch.Fields, api.FieldChange{Field: "contact", From: join(is.Contact), To: join(row.Contact)})
		if is.State == certfleet.AccountValid {
			f.contacts[is.ID] = row.Contact // the CA hears of it first
		} else {
			is.Contact = row.Contact
		}
	}
	if (n.Labels != nil || f.given != nil) && wordsOf(is.Labels) != wordsOf(row.Labels) {
		ch.Fields = append(ch.Fields, api.FieldChange{Field: "labels", From: wordsOf(is.Labels), To: wordsOf(row.Labels)})
		is.Labels = row.Labels
	}
	if n.Agree && is.AgreedAt.IsZero() {
		ch.Fields = append(ch.Fields, api.FieldChange{Field: "agree", From: "false", To: "true"})
		is.AgreedAt = tx.Now()
	}
	own := len(ch.Fields)
	if err := f.declareDefaults(ctx, tx, is, n, ch); err != nil || len(ch.Fields) == 0 {
		return nil, err
	}
	if own == 0 {
		return ch, nil
	}
	return ch, tx.SaveAccount(ctx, is)
}

// declareDefaults sets the defaults of an account that are declared.
func (f *fleet) declareDefaults(ctx context.Context, tx *store.Tx, a *certfleet.Account, n api.FleetAccount, ch *api.Change) error {
	if n.Defaults == nil {
		return nil
	}
	fields, err := f.setAccountDefaults(ctx, tx, a, *n.Defaults)
	ch.Fields = append(ch.Fields, fields...)
	return err
}

// tellContacts tells CAs of changed contacts; that waits on the network, so it
// comes after the transaction.
func (f *fleet) tellContacts(ctx context.Context) error {
	for id, contact := range f.contacts {
		if f.Contact == nil {
			return unable("a change of contact")
		}
		if err := f.Contact(ctx, id, contact); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) writeCertificates(ctx context.Context, tx *store.Tx) error {
	for i, c := range f.Certificates {
		var ch *api.Change
		full, err := f.certificate(ctx, tx, i)
		if err == nil {
			ch, err = f.writeCertificate(ctx, tx, full)
		}
		label := c.Label
		if label == "" && len(c.Names) > 0 {
			label = c.Names[0]
		}
		if err := f.note("certificate", label, ch, err); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) writeCertificate(ctx context.Context, tx *store.Tx, c api.FleetCertificate) (*api.Change, error) {
	w, err := wanted(api.NewCertificate{Label: c.Label, Names: c.Names, Policy: c.Policy, Targets: c.Targets, Labels: c.Labels, Challenge: c.Challenge, Solver: c.Solver})
	if err != nil {
		return nil, err
	}
	switch w.state = certfleet.CertificateState(c.State); w.state {
	case "", certfleet.Active, certfleet.Paused:
	case certfleet.Removed:
		return f.removeCertificate(ctx, tx, w)
	default:
		return nil, invalid("use one of active, paused, removed", fmt.Sprintf("state %q cannot be asked for", c.State))
	}
	res, err := f.add(ctx, tx, w, true, "operator")
	switch {
	case err != nil:
		return nil, err
	case res.Created:
		return created("certificate", w.label), nil
	case res.Changed:
		return &api.Change{Kind: "certificate", Label: w.label, Action: "update", Fields: res.Fields}, nil
	}
	return nil, nil
}

func (f *fleet) removeCertificate(ctx context.Context, tx *store.Tx, w *want) (*api.Change, error) {
	c, err := tx.CertificateByLabel(ctx, f.tenant(), w.label)
	if gone(err) || err == nil && c.State == certfleet.Removed {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return removed("certificate", w.label), f.remove(ctx, tx, c)
}
