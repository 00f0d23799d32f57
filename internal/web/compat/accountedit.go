package compat

import (
	"net/url"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// defaultFields are the fields of a form that say what an account's orders are like.
var defaultFields = []string{
	"account__order_default_private_key_technology: key technology such as EC_P256", "account__order_default_private_key_cycle: key cycle", "account__order_default_acme_profile: the CA's profile",
}

func (h *Handler) accountEditRoutes() []route {
	admin := certfleet.ScopeAdmin
	return append(post("/acme-account/{id}/edit", admin, (*call).editAccount, "Says what the account's orders are like. What is left out stays.", defaultFields...),
		post("/acme-account/{id}/mark", admin, (*call).markAccount, "Confirms that an account is in use.", "action: active; required. An account is not put to rest here: it is in use until it is deactivated at the CA")...)
}

// accountChange is what a form says of an account's orders, nil for nothing.
func accountChange(form url.Values) (ch *api.AccountChange, field string, err error) {
	said := func(field string) *string {
		if !form.Has(field) {
			return nil
		}
		if v := form.Get(field); !unsaid[v] {
			return &v
		}
		return new(string)
	}
	ch = &api.AccountChange{KeyCycle: said(defaultCycle), Profile: said("account__order_default_acme_profile"), KeyType: said(defaultTechnology)}
	if *ch == (api.AccountChange{}) {
		return nil, "", nil
	}
	if ch.KeyType != nil && *ch.KeyType != "" {
		typ := fromTechnology[*ch.KeyType]
		if ch.KeyType = &typ; typ == "" {
			return nil, defaultTechnology, invalid("use one of EC_P256, EC_P384, RSA_2048, RSA_3072, RSA_4096", "Invalid selection")
		}
	}
	if ch.KeyCycle != nil {
		if _, err := certfleet.ParseKeyCycle(*ch.KeyCycle); err != nil {
			return nil, defaultCycle, err
		}
	}
	return ch, "", nil
}

const (
	defaultTechnology = "account__order_default_private_key_technology"
	defaultCycle      = "account__order_default_private_key_cycle"
)

// withDefaults notes what a form says of the account's orders.
func (c *call) withDefaults(a api.Account, ch *api.AccountChange) (api.Account, error) {
	if ch == nil {
		return a, nil
	}
	return ask[api.Account](c, "PATCH", "/accounts/"+url.PathEscape(a.Label), *ch)
}

// formOnAccount reads the form of a call about an account, and the account; when ok
// is false the call was answered.
func (c *call) formOnAccount() (form url.Values, a api.Account, ok bool) {
	form, err := c.form()
	if err == nil {
		a, err = c.readAccount(c.id())
	}
	if err != nil {
		c.fail(err)
	}
	return form, a, err == nil
}

func (c *call) editAccount() {
	form, a, ok := c.formOnAccount()
	if !ok {
		return
	}
	if field, msg := c.fixed(a, form); field != "" {
		c.formError(field, msg)
		return
	}
	ch, field, err := accountChange(form)
	if err == nil {
		a, err = c.withDefaults(a, ch)
	}
	if err != nil {
		c.failAt(field, err)
		return
	}
	c.success(object{"operation": "edit", "AcmeAccount": c.accountOf(a)})
}

// fixed is a field of a form that would change what does not change here.
func (c *call) fixed(a api.Account, form url.Values) (field, msg string) {
	if s := form.Get("name"); s != "" && s != a.Label {
		return "name", "an account keeps its name"
	}
	if s := form.Get("account__private_key_technology"); !unsaid[s] && s != c.accountOf(a)["private_key_technology"] {
		return "account__private_key_technology", "an account gets another kind of key by a key-change: certfleet accounts rollover"
	}
	return "", ""
}

// markAccount answers for marks that hold already; the others are refused, for
// this system would not keep to them.
func (c *call) markAccount() {
	form, a, ok := c.formOnAccount()
	if !ok {
		return
	}
	gone := a.State == string(certfleet.AccountDeactivated)
	switch action := form.Get("action"); {
	case action == "active" && !gone, action == "inactive" && gone:
		c.success(object{"operation": "mark", "action": action, "AcmeAccount": c.accountOf(a)})
	case action == "active":
		c.formError("action", "the account was deactivated at the CA, which is for good")
	case action == "inactive":
		c.formError("action", "an account is in use until it is deactivated at the CA; name another authority in the policies instead")
	case action == "is_render_in_selects", action == "no_render_in_selects":
		c.formError("action", "there are no lists of accounts to choose from here")
	default:
		c.formError("action", "use active")
	}
}
