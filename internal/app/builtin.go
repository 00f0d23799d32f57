package app

import "github.com/certfleet/certfleet"

// Authorities are the CAs that every new database knows. Those that are not
// marked Unverified speak the protocol exactly as our tests do; the others were
// never run against, and their notes say what is known of them.
func Authorities() []certfleet.Authority {
	return []certfleet.Authority{
		{Label: "letsencrypt", DirectoryURL: "https://acme-v02.api.letsencrypt.org/directory", Unverified: true, Note: "free; 100 names, wildcards, profiles, renewal information"},
		{Label: "letsencrypt-staging", DirectoryURL: "https://acme-staging-v02.api.letsencrypt.org/directory", Unverified: true, Note: "for trying out: nobody trusts its certificates, limits are wide"},
		{Label: "google", DirectoryURL: "https://dv.acme-v02.api.pki.goog/directory", Unverified: true, EAB: true, Note: "Google Trust Services; 1 to 90 days; a binding is good for one use within 7 days"},
		{Label: "google-test", DirectoryURL: "https://dv.acme-v02.test-api.pki.goog/directory", Unverified: true, EAB: true, Note: "Google Trust Services for trying out"},
		{Label: "zerossl", DirectoryURL: "https://acme.zerossl.com/v2/DV90", Unverified: true, EAB: true, Note: "no renewal information; an unpublished limit on requests"},
		{Label: "sslcom-rsa", DirectoryURL: "https://acme.ssl.com/sslcom-dv-rsa", Unverified: true, EAB: true, Note: "free for a name and its www; charges where the account has funds"},
		{Label: "sslcom-ecc", DirectoryURL: "https://acme.ssl.com/sslcom-dv-ecc", Unverified: true, EAB: true, Note: "free for a name and its www; charges where the account has funds"},
		{Label: "actalis", DirectoryURL: "https://acme-api.actalis.com/acme/directory", Unverified: true, EAB: true, Note: "free for a name and its www; a failed challenge may stay processing"},
	}
}
