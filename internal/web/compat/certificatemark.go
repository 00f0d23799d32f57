package compat

import (
	"fmt"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (h *Handler) certificateActRoutes() []route {
	issue := certfleet.ScopeIssue
	return append(post("/x509-certificate/{id}/mark", issue, (*call).markCertificate, "Confirms how a certificate stands, or revokes it at its CA.", "action: active, inactive or revoked; required", "reason: of a revocation, a number of RFC 5280 section 5.3.1"),
		post("/x509-certificate/{id}/ari-check", issue, (*call).checkARI, "Asks the CA when it wants the certificate renewed.")...)
}

// markCertificate answers for what holds already, and revokes. What a name serves
// is settled by its certificate: no mark changes that.
func (c *call) markCertificate() {
	form, err := c.form()
	if err != nil {
		c.fail(err)
		return
	}
	v, err := c.readVersionStory(c.number())
	if err != nil {
		c.fail(err)
		return
	}
	active := isActive(v.Version)
	switch action := form.Get("action"); {
	case action == "active" && active, action == "inactive" && !active, action == "revoked" && !v.RevokedAt.IsZero():
		c.marked(v.ID)
	case action == "revoked":
		c.revoke(v, form.Get("reason"))
	case action == "active":
		c.formError("action", "the certificate was "+retired(v.Version)+"; what is served is the newest: ask for another by new-order")
	case action == "inactive":
		c.formError("action", "the certificate is in use: mark its renewal configuration inactive, or remove it with certfleet remove")
	case action == "unrevoke":
		c.formError("action", "a revocation is for good")
	default:
		c.formError("action", "use active, inactive or revoked")
	}
}

// isActive reports whether a version is what its certificate has: neither
// replaced nor revoked.
func isActive(v api.Version) bool { return v.ReplacedBy == 0 && v.RevokedAt.IsZero() }

func retired(v api.Version) string {
	if !v.RevokedAt.IsZero() {
		return "revoked"
	}
	return fmt.Sprintf("replaced by certificate %d", v.ReplacedBy)
}

func (c *call) revoke(v api.VersionStory, reason string) {
	n := 0
	if reason != "" {
		var err error
		if n, err = strconv.Atoi(reason); err != nil || n < 0 || n > 10 {
			c.formError("reason", "use a number from 0 to 10")
			return
		}
	}
	if _, err := ask[api.Version](c, "POST", c.versionPath(v.ID)+"/revoke", api.Revocation{Reason: n}); err != nil {
		c.fail(err)
		return
	}
	c.marked(v.ID)
}

func (c *call) marked(id int64) {
	o, err := c.readVersion(id)
	c.done(object{"operation": "mark", "X509Certificate": o}, err)
}

func (c *call) versionPath(id int64) string { return "/versions/" + strconv.FormatInt(id, 10) }

func (c *call) readVersionStory(id int64) (api.VersionStory, error) {
	return ask[api.VersionStory](c, "GET", c.versionPath(id), nil)
}

func (c *call) checkARI() {
	v, err := ask[api.Version](c, "POST", c.versionPath(c.number())+"/ari", nil)
	if err != nil {
		c.fail(err)
		return
	}
	if v.ARIProblem != "" {
		c.json(200, object{"result": "error", "operation": "ari-check", "error": v.ARIProblem, "AriCheck": ariOf(v)})
		return
	}
	c.success(object{"operation": "ari-check", "AriCheck": ariOf(v)})
}

// ariOf is what the CA last said of when a version is to be renewed.
func ariOf(v api.Version) object {
	return object{
		"x509_certificate_id": v.ID, "ari_check_status": v.ARIProblem == "", "suggested_window_start": when(v.ARIStart), "suggested_window_end": when(v.ARIEnd),
		"timestamp_retry_after": when(v.ARIPollAt), "timestamp_created": when(time.Now()), "explanation_url": text(v.ARIURL), "ari_identifier": text(v.ARIID), "raw_response": nil,
	}
}
