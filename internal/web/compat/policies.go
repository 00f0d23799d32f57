package compat

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// policyFor is the policy that does what a form says of account, key and profile:
// default where it says nothing, else one that is there, else a new one, which
// needs scope admin.
func (c *call) policyFor(form url.Values) (label, field string, err error) {
	want, field, err := c.policySpec(form)
	if err != nil || want == (choice{}) {
		return "", field, err
	}
	all, err := ask[api.Page[api.Policy]](c, "GET", "/policies", nil)
	if err != nil {
		return "", "", err
	}
	for _, p := range all.Items {
		if want.is(p.PolicySpec) {
			return p.Label, "", nil
		}
	}
	if !c.who.Allows(certfleet.ScopeAdmin) {
		return "", "account_key_option__primary", invalid("make such a policy first, or use a token with scope admin", "no policy has this account's server, key and profile")
	}
	p, err := ask[api.Policy](c, "POST", "/policies", want.policy())
	return p.Label, "", err
}

// choice is what a form says that a policy would.
type choice struct {
	authority, keyType, cycle, profile string
	backup                             api.Backup
}

// is reports whether a policy does just that.
func (w choice) is(s api.PolicySpec) bool {
	return len(s.Authorities) > 0 && s.Authorities[0] == w.authority && cmp.Or(s.KeyType, string(certfleet.P256)) == cmp.Or(w.keyType, string(certfleet.P256)) && s.KeyCycle == w.cycle && s.Profile == w.profile &&
		!s.ReuseKey && w.hasBackup(s.Backup) && s.ChainIssuer == "" && s.Validity == "" && s.Challenge == ""
}

func (w choice) hasBackup(b *api.Backup) bool {
	if b == nil {
		return w.backup == api.Backup{}
	}
	return *b == w.backup
}

func (w choice) policy() api.Policy {
	said := w.keyType + " " + w.cycle + " " + w.profile
	p := api.PolicySpec{Authorities: []string{w.authority}, KeyType: w.keyType, KeyCycle: w.cycle, Profile: w.profile}
	if b := w.backup; b != (api.Backup{}) {
		p.Backup, said = &b, strings.Join([]string{said, b.Authority, b.KeyType, b.KeyCycle, b.Profile}, " ")
	}
	sum := sha256.Sum256([]byte(said))
	return api.Policy{Label: w.authority + "-" + hex.EncodeToString(sum[:4]), PolicySpec: p}
}

// unsaid are the words of forms that leave something to the server.
var unsaid = map[string]bool{"": true, "none": true, "account_default": true, "system_configuration_default": true, "@": true}

// The roles of a form's fields, as they end.
const (
	primary = "__primary"
	second  = "__backup"
)

// wish is what a form says of one role.
func wish(form url.Values, role string) (w choice, field string, err error) {
	if s := cmp.Or(form.Get("private_key_technology"+role), form.Get("private_key_generate"+role)); !unsaid[s] {
		if w.keyType = fromTechnology[s]; w.keyType == "" {
			return w, "private_key_technology" + role, invalid("use one of EC_P256, EC_P384, RSA_2048, RSA_3072, RSA_4096", "Invalid selection")
		}
	}
	if s := form.Get("private_key_cycle" + role); !unsaid[s] {
		if _, err := certfleet.ParseKeyCycle(s); err != nil {
			return w, "private_key_cycle" + role, err
		}
		w.cycle = s
	}
	if s := form.Get("acme_profile" + role); !unsaid[s] {
		w.profile = s
	}
	return w, "", nil
}

func (c *call) policySpec(form url.Values) (w choice, field string, err error) {
	w, field, err = wish(form, primary)
	if err != nil {
		return w, field, err
	}
	a, field, err := c.accountFor(form, primary)
	if err != nil {
		return choice{}, field, err
	}
	if w.backup, field, err = c.backupFor(form); err != nil || a == nil && w == (choice{}) {
		return choice{}, field, err
	}
	if a != nil {
		w.authority = a.Authority
	} else if p, err := ask[api.Policy](c, "GET", "/policies/default", nil); err != nil {
		return w, "", err
	} else if len(p.Authorities) > 0 {
		w.authority = p.Authorities[0]
	}
	if w.authority == w.backup.Authority && w.authority != "" {
		return choice{}, "account_key_option__backup", invalid("name an account on another ACME server", "the backup account must be on another ACME server than the primary")
	}
	return w, "", nil
}

// backupFor is the second certificate that a form asks for, none without a second
// account.
func (c *call) backupFor(form url.Values) (b api.Backup, field string, err error) {
	w, field, err := wish(form, second)
	if err != nil || form.Get("account_key_option"+second) == "none" {
		return b, field, err
	}
	a, field, err := c.accountFor(form, second)
	switch {
	case err != nil:
		return b, field, err
	case a == nil && w != (choice{}):
		return b, "account_key_option__backup", invalid("name a second account, or leave the backup out", "a backup needs an account of its own")
	case a == nil:
		return b, "", nil
	}
	return api.Backup{Authority: a.Authority, KeyType: w.keyType, KeyCycle: w.cycle, Profile: w.profile}, "", nil
}

var fromTechnology = map[string]string{"EC_P256": "p256", "EC_P384": "p384", "RSA_2048": "rsa2048", "RSA_3072": "rsa3072", "RSA_4096": "rsa4096"}

// accountFor is the account that a form names for a role, nil for the server's
// choice.
func (c *call) accountFor(form url.Values, role string) (*api.Account, string, error) {
	id, at := form.Get("acme_account_id"+role), form.Get("acme_account_url"+role)
	key := cmp.Or(form.Get("account_key_existing"+role), form.Get("account_key_global"+role))
	if id == "" && key == "" && at == "" {
		return nil, "", nil
	}
	all, err := ask[api.Page[api.Account]](c, "GET", "/accounts", nil)
	if err != nil {
		return nil, "", err
	}
	for _, a := range all.Items {
		if a.State == string(certfleet.AccountDeactivated) {
			continue
		}
		if id != "" && (strconv.FormatInt(a.ID, 10) == id || a.Label == id) || at != "" && a.URL == at || key != "" && c.hasKey(a, key) {
			return &a, "", nil
		}
	}
	return nil, "account_key_option" + role, invalid("name an account that is there", "the account is not known, or is deactivated")
}

func (c *call) hasKey(a api.Account, said string) bool {
	k, err := ask[api.Key](c, "GET", "/keys/"+strconv.FormatInt(a.KeyID, 10), nil)
	return err == nil && (reference(k.SPKI) == said || k.SPKI == said)
}
