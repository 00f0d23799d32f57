package compat

import (
	"cmp"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
)

func (h *Handler) accountRoutes() []route {
	admin := certfleet.ScopeAdmin
	var all []route
	for _, some := range [][]route{
		list("/acme-accounts", (*call).accounts), get("/acme-account/{id}", (*call).account),
		post("/acme-account/new", admin, (*call).newAccount, "Makes an account and registers it at the CA. The CA's terms are agreed to.",
			append([]string{"acme_server_id: id or label of the ACME server; required", "account__contact: mail address", "account__name: what to call it", "account__private_key_technology: EC_P256; another one comes by a key-change"}, defaultFields...)...),
		post("/acme-account/upload", admin, (*call).uploadAccount, "Brings an account along with its key.",
			"account_key_file_pem: the key; with acme_server_id", "account_key_file_le_meta: certbot's meta.json", "account_key_file_le_pkey: certbot's private_key.json", "account_key_file_le_reg: certbot's regr.json", "acme_server_id: id or label", "account__contact: mail address", defaultFields[0], defaultFields[1], defaultFields[2]),
		post("/acme-account/{id}/acme-server/authenticate", admin, confirm("is_authenticated"), "Asks the CA how the account stands; registers it first, if the CA does not know it yet."),
		post("/acme-account/{id}/acme-server/check", admin, confirm("is_checked"), "Asks the CA how the account stands; registers it first, if the CA does not know it yet."),
		post("/acme-account/{id}/acme-server/key-change", admin, (*call).changeKey, "Gives the account a new key.", "key_pem_existing: the present key, as PEM or as key_pem_md5; required"),
		post("/acme-account/{id}/acme-server/deactivate", admin, (*call).deactivateAccount, "Gives the account up for good.", "key_pem: the present key, as PEM or as key_pem_md5; required"),
		post("/acme-account/{id}/acme-server/deactivate-pending-authorizations", admin, (*call).giveUp, "Gives pending authorizations up.", "acme_authorization_id: an id; may be given several times"),
		h.accountEditRoutes(),
	} {
		all = append(all, some...)
	}
	return all
}

// accountOf is an account with its server and key in the older system's words.
func (c *call) accountOf(a api.Account) object {
	ca, _ := ask[api.Authority](c, "GET", "/authorities/"+url.PathEscape(a.Authority), nil) // one that is gone has no fields
	k := api.Key{}
	if a.KeyID != 0 {
		k, _ = ask[api.Key](c, "GET", "/keys/"+strconv.FormatInt(a.KeyID, 10), nil)
	}
	contact := ""
	if len(a.Contact) > 0 {
		contact = strings.TrimPrefix(a.Contact[0], "mailto:")
	}
	d := api.AccountDefaults{}
	if a.Defaults != nil {
		d = *a.Defaults
	}
	return object{
		"id": a.ID, "name": a.Label, "contact": text(contact), "account_url": text(a.URL), "is_active": a.State != string(certfleet.AccountDeactivated),
		"is_deactivated": a.State == string(certfleet.AccountDeactivated), "acme_server_id": ca.ID, "acme_server_name": a.Authority, "acme_server_url": ca.DirectoryURL, "acme_server_protocol": "acme-v2",
		"private_key_technology": technology(k.Type), "timestamp_created": when(a.CreatedAt), "order_default_private_key_cycle": cmp.Or(d.KeyCycle, string(certfleet.KeySingleUse)), "order_default_private_key_technology": technology(cmp.Or(d.KeyType, string(certfleet.P256))), "order_default_acme_profile": text(d.Profile),
		"AcmeAccountKey": object{"id": or(k.ID), "is_active": true, "key_pem_md5": reference(k.SPKI), "spki_sha256": k.SPKI},
	}
}

func (c *call) accounts() {
	rows, at, err := sliced[api.Account](c, "/accounts")
	c.show(object{"AcmeAccounts": keyed(rows, func(a api.Account) (int64, object) { return a.ID, c.accountOf(a) }), "SystemConfiguration_global": c.globalSystem(), "pagination": at}, err)
}

func (c *call) readAccount(id string) (api.Account, error) {
	return ask[api.Account](c, "GET", "/accounts/"+url.PathEscape(id), nil)
}

func (c *call) account() {
	a, err := c.readAccount(c.id())
	if err != nil {
		c.fail(err)
		return
	}
	c.json(http.StatusOK, object{"AcmeAccount": c.accountOf(a)})
}

func (c *call) newAccount() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	if form.Get("acme_server_id") == "" {
		c.formError("acme_server_id", "Missing value")
		return
	}
	ca, err := ask[api.Authority](c, "GET", "/authorities/"+url.PathEscape(form.Get("acme_server_id")), nil)
	if err != nil {
		c.formError("acme_server_id", "Invalid selection")
		return
	}
	if s := form.Get("account__private_key_technology"); !unsaid[s] && s != "EC_P256" {
		c.formError("account__private_key_technology", "a new account has a key of EC_P256; give it another by a key-change: certfleet accounts rollover")
		return
	}
	c.makeAccount(api.NewAccount{Authority: ca.Label, Label: form.Get("account__name"), Contact: names(form.Get("account__contact")), Agree: true}, form)
}

// makeAccount has an account made and says whether it was there.
func (c *call) makeAccount(n api.NewAccount, form url.Values) {
	ch, field, err := accountChange(form)
	if err != nil {
		c.failAt(field, err)
		return
	}
	before, err := c.readAccount(cmp.Or(n.Label, n.Authority))
	there := err == nil && before.ID != 0
	a, err := ask[api.Account](c, "POST", "/accounts", n)
	if err == nil {
		a, err = c.withDefaults(a, ch)
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.success(object{"AcmeAccount": c.accountOf(a), "is_created": !there, "is_existing": there})
}

func (c *call) uploadAccount() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	n := api.NewAccount{Contact: names(form.Get("account__contact")), Agree: true, Key: cmp.Or(form.Get("account_key_file_pem"), form.Get("account_key_file_le_pkey"))}
	if n.Key == "" {
		c.formError("account_key_file_pem", "Missing value")
		return
	}
	var reg struct {
		URI string `json:"uri"`
	}
	_ = json.Unmarshal([]byte(form.Get("account_key_file_le_reg")), &reg) // what cannot be read names no account
	n.URL = reg.URI
	if n.Authority = c.serverFor(form.Get("acme_server_id"), reg.URI); n.Authority == "" {
		c.formError("acme_server_id", "Invalid selection")
		return
	}
	n.Label = n.Authority + "-" + c.keyWord(n.Key)
	c.makeAccount(n, form)
}

// keyWord tells accounts of one server apart by their keys.
func (c *call) keyWord(key string) string {
	if spki := spkiOf(key); spki != "" {
		return spki[:8]
	}
	return "uploaded"
}

// spkiOf is the SHA-256 of the public key of a PEM, empty for what is none.
func spkiOf(text string) string {
	if b, _ := pem.Decode([]byte(text)); b == nil {
		return ""
	}
	key, err := pki.ParseKey([]byte(text))
	if err != nil {
		return ""
	}
	return pki.SPKI(key.Public())
}

// serverFor is the label of the server that a form names, or whose directory is
// on the host of an account's URL.
func (c *call) serverFor(id, account string) string {
	if id != "" {
		ca, _ := ask[api.Authority](c, "GET", "/authorities/"+url.PathEscape(id), nil) // none has no label
		return ca.Label
	}
	at, err := url.Parse(account)
	all, wrong := ask[api.Page[api.Authority]](c, "GET", "/authorities", nil)
	if err != nil || wrong != nil || at.Host == "" {
		return ""
	}
	for _, ca := range all.Items {
		if d, err := url.Parse(ca.DirectoryURL); err == nil && d.Host == at.Host {
			return ca.Label
		}
	}
	return ""
}

// proven reads a form whose field must name the account's present key.
func (c *call) proven(field string) bool {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return false
	}
	a, err := c.readAccount(c.id())
	if err != nil {
		c.fail(err)
		return false
	}
	k, err := ask[api.Key](c, "GET", "/keys/"+strconv.FormatInt(a.KeyID, 10), nil)
	said := strings.TrimSpace(form.Get(field))
	if err != nil || said == "" || said != reference(k.SPKI) && said != k.SPKI && spkiOf(said) != k.SPKI {
		c.formError(field, "This does not match the active account key")
		return false
	}
	return true
}

func (c *call) changeKey()         { c.withProof("key_pem_existing", "rollover", "acme-server--key-change") }
func (c *call) deactivateAccount() { c.withProof("key_pem", "deactivate", "acme-server--deactivate") }

func (c *call) withProof(field, act, operation string) {
	if !c.proven(field) {
		return
	}
	a, err := ask[api.Account](c, "POST", "/accounts/"+url.PathEscape(c.id())+"/"+act, nil)
	if err != nil {
		c.fail(err)
		return
	}
	c.success(object{"operation": operation, "AcmeAccount": c.accountOf(a)})
}

func (c *call) giveUp() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	var d api.Deactivation
	for _, s := range form["acme_authorization_id"] {
		id, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			c.formError("acme_authorization_id", "Invalid value")
			return
		}
		d.IDs = append(d.IDs, id)
	}
	if len(d.IDs) == 0 {
		c.formError("acme_authorization_id", "Missing value")
		return
	}
	got, err := ask[api.Deactivated](c, "POST", "/authorizations/deactivate", d)
	c.done(object{"results": got}, err)
}

// technology is a key type in the older system's words.
func technology(t string) any {
	words := map[string]string{"p256": "EC_P256", "p384": "EC_P384", "rsa2048": "RSA_2048", "rsa3072": "RSA_3072", "rsa4096": "RSA_4096"}
	return text(words[t])
}
