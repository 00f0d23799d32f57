package compat

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"

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
type choice struct{ authority, keyType, cycle, profile string }

// is reports whether a policy does just that.
func (w choice) is(s api.PolicySpec) bool {
	return len(s.Authorities) > 0 && s.Authorities[0] == w.authority && cmp.Or(s.KeyType, string(certfleet.P256)) == cmp.Or(w.keyType, string(certfleet.P256)) && s.KeyCycle == w.cycle && s.Profile == w.profile &&
		!s.ReuseKey && s.Backup == nil && s.ChainIssuer == "" && s.Validity == "" && s.Challenge == ""
}

func (w choice) policy() api.Policy {
	sum := sha256.Sum256([]byte(w.keyType + " " + w.cycle + " " + w.profile))
	return api.Policy{Label: w.authority + "-" + hex.EncodeToString(sum[:4]), PolicySpec: api.PolicySpec{Authorities: []string{w.authority}, KeyType: w.keyType, KeyCycle: w.cycle, Profile: w.profile}}
}

// unsaid are the words of forms that leave something to the server.
var unsaid = map[string]bool{"": true, "none": true, "account_default": true, "system_configuration_default": true, "@": true}

func (c *call) policySpec(form url.Values) (w choice, field string, err error) {
	if s := cmp.Or(form.Get("private_key_technology__primary"), form.Get("private_key_generate__primary")); !unsaid[s] {
		w.keyType = fromTechnology[s]
		if w.keyType == "" {
			return w, "private_key_technology__primary", invalid("use one of EC_P256, EC_P384, RSA_2048, RSA_3072, RSA_4096", "Invalid selection")
		}
	}
	if s := form.Get("private_key_cycle__primary"); !unsaid[s] {
		w.cycle = s
	}
	if s := form.Get("acme_profile__primary"); !unsaid[s] {
		w.profile = s
	}
	a, field, err := c.accountFor(form)
	if err != nil || a == nil && w == (choice{}) {
		return choice{}, field, err
	}
	if a != nil {
		w.authority = a.Authority
		return w, "", nil
	}
	p, err := ask[api.Policy](c, "GET", "/policies/default", nil)
	if err == nil && len(p.Authorities) > 0 {
		w.authority = p.Authorities[0]
	}
	return w, "", err
}

var fromTechnology = map[string]string{"EC_P256": "p256", "EC_P384": "p384", "RSA_2048": "rsa2048", "RSA_3072": "rsa3072", "RSA_4096": "rsa4096"}

// accountFor is the account that a form names, nil for the server's choice.
func (c *call) accountFor(form url.Values) (*api.Account, string, error) {
	id, key, at := form.Get("acme_account_id__primary"), form.Get("account_key_existing__primary"), form.Get("acme_account_url__primary")
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
	return nil, "account_key_option__primary", invalid("name an account that is there", "the account is not known, or is deactivated")
}

func (c *call) hasKey(a api.Account, said string) bool {
	k, err := ask[api.Key](c, "GET", "/keys/"+strconv.FormatInt(a.KeyID, 10), nil)
	return err == nil && (reference(k.SPKI) == said || k.SPKI == said)
}
