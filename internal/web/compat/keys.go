package compat

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// Keys are shown without what is secret of them. They leave with a certificate.
func (h *Handler) keyRoutes() []route {
	return slices.Concat(list("/private-keys", (*call).privateKeys), get("/private-key/{id}", (*call).privateKey),
		list("/private-key/{id}/x509-certificates", (*call).versionsOfKey),
		post("/private-key/{id}/mark", certfleet.ScopeIssue, (*call).markKey, "Confirms how a key stands.", "action: active or compromised; required. A key is compromised by revoking its certificate with reason 1"))
}

func keyOf(k api.Key) (int64, object) {
	source := "generated"
	if k.Origin == "imported" {
		source = "imported"
	}
	return k.ID, object{"id": k.ID, "key_pem_md5": reference(k.SPKI), "spki_sha256": k.SPKI, "key_technology": technology(k.Type), "private_key_source": source, "private_key_id__replaces": or(k.ReplacesKeyID),
		"is_active": k.CompromisedAt.IsZero(), "is_compromised": !k.CompromisedAt.IsZero(), "timestamp_created": when(k.CreatedAt)}
}

func (c *call) privateKeys() {
	rows, at, err := listed[api.Key](c, "/keys", url.Values{"use": {"certificate"}})
	c.show(object{"PrivateKeys": keyed(rows, keyOf), "pagination": at}, err)
}

// readKey is the key of certificates that the path means.
func (c *call) readKey() (api.Key, error) {
	k, err := ask[api.Key](c, "GET", "/keys/"+strconv.FormatInt(c.number(), 10), nil)
	if err == nil && k.Use != "certificate" {
		err = &certfleet.Error{Kind: certfleet.NotFound, Msg: "the item was not found", Advice: "ask for one of private-keys"}
	}
	return k, err
}

func (c *call) privateKey() {
	k, err := c.readKey()
	_, o := keyOf(k)
	c.show(object{"PrivateKey": o}, err)
}

func (c *call) versionsOfKey() {
	k, err := c.readKey()
	if err != nil {
		c.fail(err)
		return
	}
	rows, at, err := listed[api.Version](c, "/versions", url.Values{"key": {strconv.FormatInt(k.ID, 10)}})
	c.show(object{"X509Certificates": keyed(rows, versionOf), "pagination": at}, err)
}

// markKey answers for marks that hold already.
func (c *call) markKey() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	k, err := c.readKey()
	if err != nil {
		c.fail(err)
		return
	}
	_, o := keyOf(k)
	gone := !k.CompromisedAt.IsZero()
	switch action := form.Get("action"); {
	case action == "active" && !gone, action == "compromised" && gone:
		c.json(http.StatusOK, object{"result": "success", "operation": "mark", "action": action, "PrivateKey": o})
	case action == "compromised":
		c.formError("action", "mark its certificate revoked with reason 1: the CA is told, and the key is never used again")
	case action == "active":
		c.formError("action", "the key is compromised, which is for good")
	case action == "inactive":
		c.formError("action", "a key is in use as long as its certificate is")
	default:
		c.formError("action", "use active or compromised")
	}
}
