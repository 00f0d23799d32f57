package main

import (
	"time"

	"github.com/certfleet/certfleet"
	minnow "github.com/certfleet/certfleet/internal/porter/petersslers/petersslerstest"
	"github.com/rogpeppe/go-internal/testscript"
)

// writeMinnow makes a small database as peter_sslers keeps it.
func writeMinnow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: minnow FILE")
	}
	m := minnow.New(ts.MkAbs(args[0]))
	defer m.Close()
	_, key := minnow.AccountKey(certfleet.P256)
	m.Account(m.Server("their-ca", "https://ca.example/dir", ""), "main", "https://ca.example/acct/1", key, nil)
	m.Exec("UPDATE system_configuration SET is_configured = 1, acme_account_id__primary = 1 WHERE name = 'global'")
	m.Insert("enrollment_factory", minnow.Row{"name": "whitelabel", "label_template": "{NIAMOD}", "domain_template_http01": "{DOMAIN}", "acme_account_id__primary": 1, "private_key_technology_id__primary": 4, "private_key_cycle_id__primary": 7})
	m.Insert("domain_blocklisted", minnow.Row{"domain_name": "always-fail.example.com"})
	m.Insert("acme_dns_server_account", minnow.Row{"acme_dns_server_id": m.Insert("acme_dns_server", minnow.Row{"api_url": "https://acme-dns.example"}), "domain_id": m.Domain("delegated.example"), "is_active": true, "username": "u", "password": "acme-dns-password", "fulldomain": "x.auth.example", "subdomain": "x"})
	for _, name := range []string{"shop", "blog", "lost"} {
		n, set := m.Renewal(1, minnow.Row{"label": name}, minnow.By(name+".example"))
		id, _ := m.Issue(n, set, minnow.Primary, 1000*time.Hour, nil, name+".example")
		if name == "lost" {
			m.Exec("UPDATE x509_certificate SET is_compromised_private_key = 1 WHERE id = ?", id)
		}
	}
}
