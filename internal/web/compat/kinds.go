package compat

// kind is how one kind of object is shown as a page.
type kind struct {
	list    string // the list's key in JSON
	path    string // of its own page, below the prefix, without the id
	columns []string
	files   []string // below its own page
	lines   []string // of the command line; {id} and {name} are the object's
}

// kinds are what pages show, by the object's key in JSON.
var kinds = map[string]kind{
	"AcmeAccount": {"AcmeAccounts", "/acme-account/", []string{"id", "name", "contact", "acme_server_name", "is_active", "timestamp_created"}, nil,
		[]string{"certfleet accounts show {id}", "certfleet accounts check {id}", "certfleet accounts set {id} --key-cycle single_use", "certfleet accounts rollover {id}", "certfleet accounts deactivate {id}"}},
	"AcmeServer": {"AcmeServers", "/acme-server/", []string{"id", "name", "directory_url"}, nil, nil},
	"AcmeDnsServer": {"AcmeDnsServers", "/acme-dns-server/", []string{"id", "name", "api_url"}, []string{"acme-dns-server-accounts"},
		[]string{"certfleet acmedns ensure NAME --solver {name}", "certfleet acmedns audit NAME --solver {name}"}},
	"AcmeDnsServerAccount": {"AcmeDnsServerAccounts", "/acme-dns-server-account/", []string{"Domain", "cname_source", "cname_target", "timestamp_created"}, nil, nil},
	"AcmeOrder": {"AcmeOrders", "/acme-order/", []string{"id", "acme_status_order", "acme_order_processing_status", "domains_as_list", "renewal_configuration_id", "x509_certificate_id", "timestamp_created", "note"}, nil,
		[]string{"certfleet orders show {id}", "certfleet orders step {id}", "certfleet orders sync {id}"}},
	"RenewalConfiguration": {"RenewalConfigurations", "/renewal-configuration/", []string{"id", "label", "is_active", "domains_challenged", "X509Certificates_5_primary", "note"}, nil,
		[]string{"certfleet show {id}", "certfleet renew {id} --wait", "certfleet pause {id}", "certfleet resume {id}", "certfleet remove {id}"}},
	"X509Certificate": {"X509Certificates", "/x509-certificate/", []string{"id", "is_active", "certificate_type", "domains_as_list", "cert_issuer", "timestamp_not_after", "RenewalConfiguration"},
		[]string{"cert.pem.txt", "chain.pem.txt", "fullchain.pem.txt"},
		[]string{"certfleet versions show {id}", "certfleet versions window {id}", "certfleet versions lookups {id}", "certfleet export {id}", "certfleet revoke {id}"}},
	"Domain": {"Domains", "/domain/", []string{"id", "domain_name", "registered", "address_type"}, nil,
		[]string{"certfleet why '{domain_name}'", "certfleet probe '{domain_name}'", "certfleet domains show '{domain_name}'"}},
	"AcmeAuthorization": {"AcmeAuthorizations", "/acme-authorization/", []string{"id", "Domain", "acme_status_authorization", "timestamp_expires", "acme_order_id__created"}, nil,
		[]string{"certfleet authorizations"}},
	"AcmeChallenge": {"AcmeChallenges", "", []string{"id", "Domain", "acme_challenge_type", "acme_status_challenge", "timestamp_created"}, nil, nil},
	"PrivateKey": {"PrivateKeys", "/private-key/", []string{"id", "key_technology", "private_key_source", "is_compromised", "timestamp_created"}, nil,
		[]string{"certfleet keys show {id}"}},
	"SystemConfiguration": {"SystemConfigurations", "/system-configuration/", []string{"id", "name", "is_configured", "policy"}, nil,
		[]string{"certfleet policies default", "certfleet policies"}},
	"EnrollmentFactory": {"EnrollmentFactorys", "/enrollment-factory/", []string{"id", "name", "policy", "note"}, nil,
		[]string{"certfleet factories show {id}", "certfleet onboard {id} DOMAIN", "certfleet onboard query {id} DOMAIN"}},
}

// menu are the lists that every page leads to.
var menu = []string{"domains", "renewal-configurations", "x509-certificates", "x509-certificates/expiring", "acme-orders", "acme-orders/active", "acme-accounts", "acme-servers", "acme-dns-servers", "enrollment-factorys", "acme-authorizations", "private-keys", "system-configurations"}

// kindOfList is the kind whose list has the key.
func kindOfList(key string) (kind, bool) {
	for _, k := range kinds {
		if k.list == key {
			return k, true
		}
	}
	return kind{}, false
}

// Lines are the lines of the command that pages show.
func Lines() (all []string) {
	for _, k := range kinds {
		all = append(all, k.lines...)
	}
	return all
}
