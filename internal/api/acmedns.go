package api

import "time"

// ACMEDNSServer is an acme-dns server that a solver of type acmedns registers names at.
type ACMEDNSServer struct {
	ID     int64  `json:"id" doc:"Its place among the solvers of type acmedns in the configuration, from 1."`
	Solver string `json:"solver" doc:"The solver's label."`
	URL    string `json:"url" doc:"The acme-dns API."`
}

// Delegation is a name whose challenges are at an acme-dns server, and the CNAME that
// its owner has to set. It holds no secret.
type Delegation struct {
	Name      string    `json:"name"`
	Record    string    `json:"record" doc:"Where the CNAME has to be, with a trailing dot."`
	Target    string    `json:"target,omitempty" doc:"What it has to point to, with a trailing dot; absent without an account."`
	New       bool      `json:"new,omitempty" doc:"The account was made or brought along just now."`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Problem   string    `json:"problem,omitempty"`
	Advice    string    `json:"advice,omitempty"`
}

// EnsureNames asks for accounts at an acme-dns server.
type EnsureNames struct {
	Names []string `json:"names" minItems:"1" maxItems:"100" doc:"Each gets an account, unless it has one; a wildcard shares its parent's."`
}

// ACMEDNSAccount brings an account at an acme-dns server along.
type ACMEDNSAccount struct {
	Name       string   `json:"name" doc:"The host name whose challenges it is for."`
	Username   string   `json:"username"`
	Password   string   `json:"password" writeOnly:"true" doc:"It is sealed at once."`
	FullDomain string   `json:"fulldomain" doc:"What the CNAME points to."`
	SubDomain  string   `json:"subdomain"`
	AllowFrom  []string `json:"allowfrom,omitempty" doc:"Networks that may update it."`
	Replace    bool     `json:"replace,omitempty" doc:"Also where the name has another account."`
}

// DelegationFinding is what a live look at one name's CNAME showed.
type DelegationFinding struct {
	Delegation
	CNAME string `json:"cname,omitempty" doc:"What was seen of the CNAME at every authoritative server."`
	TXT   string `json:"txt,omitempty" doc:"What was seen of the TXT values at its end."`
}

// ACMEDNSCheck is how an acme-dns server answered just now.
type ACMEDNSCheck struct {
	ACMEDNSServer
	OK      bool   `json:"ok" doc:"It answered its health route with 200."`
	Problem string `json:"problem,omitempty"`
	Advice  string `json:"advice,omitempty"`
}
