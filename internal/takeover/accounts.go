package takeover

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// drawAccounts plans the accounts, and the authorities that they are at. Those
// that the system configurations name go first, because the oldest registered account of a CA
// is the one that orders go by.
func (d *drawer) drawAccounts(ctx context.Context) error {
	accounts, err := d.src.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		d.accounts[a.ID] = a
	}
	systems, err := d.src.Systems(ctx)
	if err != nil {
		return err
	}
	first := map[int64]bool{}
	for _, s := range systems {
		d.systems[s.Name] = s
		if first[s.Primary.AccountID] = true; s.Backup != nil {
			first[s.Backup.AccountID] = true
		}
	}
	slices.SortStableFunc(accounts, func(a, b petersslers.Account) int { return cmp.Compare(rank(first[a.ID]), rank(first[b.ID])) })
	if err := d.drawAuthorities(ctx, accounts); err != nil {
		return err
	}
	for _, a := range accounts {
		d.drawAccount(ctx, a)
	}
	return nil
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

func (d *drawer) drawAuthorities(ctx context.Context, accounts []petersslers.Account) error {
	servers, err := d.src.Servers(ctx)
	if err != nil {
		return err
	}
	for _, s := range servers {
		used := slices.ContainsFunc(accounts, func(a petersslers.Account) bool { return a.ServerID == s.ID })
		if label := d.here.authorityAt(s.Directory); label != "" {
			d.authorities[s.ID] = label
			d.number("authority", s.ID, label, false)
			d.put(Item{Noun: Authority, ID: s.ID, Label: label, State: There})
			continue
		}
		if !used {
			d.skip(Authority, s.ID, s.Name, "no account is at it", "")
			continue
		}
		d.addAuthority(s)
	}
	return nil
}

func (d *drawer) addAuthority(s petersslers.Server) {
	label := labelOf(s.Name)
	if label == "" || slices.ContainsFunc(d.here.authorities, func(a client.Authority) bool { return a.Label == label }) {
		label = "peter_sslers-" + cmp.Or(label, number(s.ID))
	}
	if s.TrustPEM != "" {
		if _, err := pki.ParseCertificates([]byte(s.TrustPEM)); err != nil {
			d.skip(Authority, s.ID, label, "its trust bundle cannot be read: "+err.Error(), "add it with certfleet authorities add "+label+" --directory "+s.Directory)
			return
		}
	}
	d.authorities[s.ID] = label
	d.number("authority", s.ID, label, true)
	d.put(Item{Noun: Authority, ID: s.ID, Label: label, State: Add, Reason: s.Directory, act: func(ctx context.Context) error {
		_, err := d.c.AddAuthority(ctx, client.Authority{Label: label, DirectoryURL: s.Directory, TrustPEM: s.TrustPEM, Note: "from peter_sslers"})
		return err
	}})
}

// drawAccount plans one account.
func (d *drawer) drawAccount(ctx context.Context, a petersslers.Account) {
	label := cmp.Or(labelOf(a.Name), "peter_sslers-"+number(a.ID))
	authority := d.authorities[a.ServerID]
	is := d.accountHere(a, authority)
	if is != nil {
		d.number("account", a.ID, is.Label, false)
	}
	switch {
	case a.ID == 0:
		return // the original's word for none
	case authority == "":
		d.skip(Account, a.ID, label, fmt.Sprintf("its ACME server %d is not there", a.ServerID), "")
	case is != nil && (is.Defaults != nil || is.Labels[AccountLabel] == "" || defaultsOf(a) == (client.AccountDefaults{})):
		d.put(Item{Noun: Account, ID: a.ID, Label: is.Label, State: There})
	case is != nil:
		d.put(Item{Noun: Account, ID: a.ID, Label: is.Label, State: Add, Reason: "what its orders are like", act: func(ctx context.Context) error { return d.setDefaults(ctx, is.Label, a) }})
	case a.Deactivated:
		d.skip(Account, a.ID, label, "it is deactivated at the CA", "")
	case !a.Active:
		d.skip(Account, a.ID, label, "it is switched off there", "")
	default:
		d.addAccount(ctx, a, label, authority)
	}
}

// accountHere is the account as it is here, nil for not.
func (d *drawer) accountHere(a petersslers.Account, authority string) *client.Account {
	for i, x := range d.here.accounts {
		if x.Authority == authority && (x.Labels[AccountLabel] == number(a.ID) || a.URL != "" && x.URL == a.URL) {
			return &d.here.accounts[i]
		}
	}
	return nil
}

func (d *drawer) addAccount(ctx context.Context, a petersslers.Account, label, authority string) {
	key, err := d.src.AccountKey(ctx, a.ID)
	if err == nil {
		_, err = pki.ParseKey(key)
		key.Wipe()
	}
	if err != nil {
		d.skip(Account, a.ID, label, "its key cannot be read: "+err.Error(), certfleet.AdviceOf(err))
		return
	}
	if slices.ContainsFunc(d.here.accounts, func(x client.Account) bool { return x.Label == label }) {
		label = "peter_sslers-" + number(a.ID)
	}
	note := ""
	if i := slices.IndexFunc(d.here.accounts, func(x client.Account) bool { return x.Authority == authority && x.State == "valid" }); i >= 0 {
		note = fmt.Sprintf("orders go on by account %s, which was at %s before it", d.here.accounts[i].Label, authority)
	}
	d.number("account", a.ID, label, true)
	d.put(Item{Noun: Account, ID: a.ID, Label: label, State: Add, Note: note, act: func(ctx context.Context) error { return d.bringAccount(ctx, a, label, authority) }})
}

func (d *drawer) bringAccount(ctx context.Context, a petersslers.Account, label, authority string) error {
	key, err := d.src.AccountKey(ctx, a.ID)
	if err != nil {
		return err
	}
	defer key.Wipe()
	n := client.NewAccount{Label: label, Authority: authority, URL: a.URL, Key: string(key), Agree: a.Agreed || a.URL != "", Later: a.URL == "", Labels: map[string]string{AccountLabel: number(a.ID)}}
	if a.Contact != "" {
		n.Contact = []string{a.Contact}
	}
	got, err := d.c.AddAccount(ctx, n)
	if err != nil {
		return err
	}
	return d.setDefaults(ctx, got.Label, a)
}

// defaultsOf is what orders of an account are like.
func defaultsOf(a petersslers.Account) client.AccountDefaults {
	out := client.AccountDefaults{KeyType: string(a.KeyType), KeyCycle: string(a.KeyCycle), Profile: a.Profile}
	if a.KeyCycle == certfleet.KeyAccountDefault || a.KeyCycle == certfleet.KeySystemDefault {
		out.KeyCycle = ""
	}
	if a.Profile == certfleet.ProfileOfAccount {
		out.Profile = ""
	}
	return out
}

func (d *drawer) setDefaults(ctx context.Context, label string, a petersslers.Account) error {
	is := defaultsOf(a)
	if is == (client.AccountDefaults{}) {
		return nil
	}
	_, err := d.c.ChangeAccount(ctx, label, client.AccountChange{KeyCycle: &is.KeyCycle, KeyType: &is.KeyType, Profile: &is.Profile})
	return err
}
