package petersslerstest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet/internal/pki"
)

// The numbers of challenge types and roles.
const (
	HTTP01, DNS01             = 1, 2
	Imported, Primary, Backup = 1, 2, 3
)

// Domain finds or adds a domain.
func (m *Minnow) Domain(name string) int64 {
	var id int64
	if m.db.QueryRow("SELECT id FROM domain WHERE domain_name = ?", name).Scan(&id) == nil {
		return id
	}
	return m.Insert("domain", Row{"domain_name": name, "address_type_id": 1, "registered": "r", "suffix": "s"})
}

// Set finds or adds a set of names.
func (m *Minnow) Set(names ...string) int64 {
	var ids []int64
	for _, n := range names {
		ids = append(ids, m.Domain(n))
	}
	slices.Sort(ids)
	text := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(ids)), ","), "[]")
	var set int64
	if m.db.QueryRow("SELECT id FROM unique_fqdn_set WHERE domain_ids_string = ?", text).Scan(&set) == nil {
		return set
	}
	set = m.Insert("unique_fqdn_set", Row{"domain_ids_string": text, "count_domains": len(ids)})
	for _, id := range ids {
		m.Insert("unique_fqdn_set_2_domain", Row{"unique_fqdn_set_id": set, "domain_id": id})
	}
	return set
}

// Proof is a name with the challenge types that it is listed for; none is http-01.
type Proof struct {
	Name  string
	Types []int
}

// By is a Proof.
func By(name string, types ...int) Proof {
	if len(types) == 0 {
		types = []int{HTTP01}
	}
	return Proof{name, types}
}

// Renewal adds a renewal configuration; an account of zero makes the one with id 1
// its primary. It answers the ids of the row and of its set of names.
func (m *Minnow) Renewal(account int64, row Row, proofs ...Proof) (id, set int64) {
	var names []string
	for _, p := range proofs {
		names = append(names, p.Name)
	}
	set = m.Set(names...)
	challenged := m.Insert("uniquely_challenged_fqdn_set", Row{"unique_fqdn_set_id": set})
	for _, p := range proofs {
		for _, typ := range p.Types {
			m.Insert("uniquely_challenged_fqdn_set_2_domain", Row{"uniquely_challenged_fqdn_set_id": challenged, "domain_id": m.Domain(p.Name), "acme_challenge_type_id": typ})
		}
	}
	full := Row{"unique_fqdn_set_id": set, "uniquely_challenged_fqdn_set_id": challenged, "acme_account_id__primary": cmp.Or(account, 1), "private_key_technology_id__primary": 4, "private_key_cycle_id__primary": 2}
	for k, v := range row {
		full[k] = v
	}
	return m.Insert("renewal_configuration", full), set
}

// Issue signs a certificate for names and stores it with its chain and key. For a
// renewal configuration there is an order that got it; zero is an import.
func (m *Minnow) Issue(renewal, set int64, role int, life time.Duration, row Row, names ...string) (int64, pki.Issued) {
	i, err := m.CA.IssueServer(names, life, time.Now())
	check(err)
	return m.Store(renewal, set, role, i, time.Now().Add(life), row), i
}

// Store stores a pair that was issued elsewhere.
func (m *Minnow) Store(renewal, set int64, role int, i pki.Issued, until time.Time, row Row) int64 {
	certs, err := pki.ParseChain(i.ChainPEM)
	check(err)
	key := m.Insert("private_key", Row{"key_pem": string(i.KeyPEM)})
	full := Row{"cert_pem": string(pki.EncodeChain(certs[:1])), "timestamp_not_after": stamp(until), "unique_fqdn_set_id": set, "private_key_id": key, "certificate_type_id": role, "is_active": renewal != 0}
	for k, v := range row {
		full[k] = v
	}
	id := m.Insert("x509_certificate", full)
	if len(certs) > 1 {
		m.Insert("x509_certificate_chain", Row{"x509_certificate_id": id, "x509_certificate_trust_chain_id": m.chain(string(pki.EncodeChain(certs[1:]))), "is_upstream_default": true})
	}
	if renewal != 0 {
		m.Insert("acme_order", Row{"renewal_configuration_id": renewal, "x509_certificate_id": id, "unique_fqdn_set_id": set, "certificate_type_id": role})
	}
	return id
}

// chain finds or adds a chain.
func (m *Minnow) chain(pem string) int64 {
	var id int64
	if m.db.QueryRow("SELECT id FROM x509_certificate_trust_chain WHERE chain_pem = ?", pem).Scan(&id) == nil {
		return id
	}
	return m.Insert("x509_certificate_trust_chain", Row{"chain_pem": pem})
}

// Alternate adds another chain to a certificate.
func (m *Minnow) Alternate(certificate int64, pem string) {
	m.Insert("x509_certificate_chain", Row{"x509_certificate_id": certificate, "x509_certificate_trust_chain_id": m.chain(pem), "is_upstream_default": nil})
}
