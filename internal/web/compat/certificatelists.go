package compat

import (
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/certfleet/certfleet/internal/api"
)

// certificateLists are the lists by how certificates stand. What is in use is
// found by its renewal configurations.
func (h *Handler) certificateLists() []route {
	var all []route
	for _, some := range [][]route{
		list("/x509-certificates/active", inUse("", func(v api.Version, _ time.Time) bool { return isActive(v) })),
		list("/x509-certificates/active-expired", inUse("1s", func(v api.Version, now time.Time) bool { return isActive(v) && !v.NotAfter.After(now) })),
		list("/x509-certificates/expiring", inUse(expiring, func(v api.Version, _ time.Time) bool { return isActive(v) })),
		list("/x509-certificates/inactive", retiredVersions(url.Values{"past": {"true"}})), list("/x509-certificates/inactive-unexpired", retiredVersions(url.Values{"past": {"true"}, "unexpired": {"true"}})),
	} {
		all = append(all, some...)
	}
	return all
}

// expiring is how soon a certificate ends that is listed as expiring.
const expiring = "30d"

// inUse lists the versions in use of certificates that are not removed, as far as
// they are to be kept. Backups are not among them.
func inUse(within string, keep func(v api.Version, now time.Time) bool) func(*call) {
	return func(c *call) {
		rows, at, err := listed[api.Certificate](c, "/certificates", url.Values{"expires_within": {within}})
		found := []api.Version{}
		for _, r := range rows {
			if r.VersionID == 0 || err != nil {
				continue
			}
			var v api.VersionStory
			if v, err = c.readVersionStory(r.VersionID); err == nil && keep(v.Version, time.Now()) {
				found = append(found, v.Version)
			}
		}
		c.show(object{"X509Certificates": keyed(found, versionOf), "pagination": at}, err)
	}
}

// duplicates are certificates of one renewal configuration that are active both.
// There are none: to issue another retires the one before, in one transaction.
func (c *call) duplicates() {
	c.json(http.StatusOK, object{"X509CertificatesPairs": []object{}, "pagination": pagination{Page: c.pageOf()}})
}

// retiredVersions lists what was replaced or revoked.
func retiredVersions(filter url.Values) func(*call) {
	return func(c *call) {
		rows, at, err := listed[api.Version](c, "/versions", maps.Clone(filter))
		c.show(object{"X509Certificates": keyed(rows, versionOf), "pagination": at}, err)
	}
}
