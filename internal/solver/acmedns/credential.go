package acmedns

import (
	"encoding/json"
	"fmt"

	"github.com/certfleet/certfleet"
)

// Credential is one account at an acme-dns server, made by its registration.
type Credential struct {
	Server     string           // URL of the API; empty for the configured one
	Username   string           // a UUID
	Password   certfleet.Secret // 40 characters
	FullDomain string           // what the CNAME points to, without a trailing dot
	SubDomain  string           // the first label of it, which updates name
	AllowFrom  []string         // networks that may update it
}

// wire is a credential in the clear: what the server's registration answers,
// and what acme-dns-client, lego and certbot's hook keep in their files.
type wire struct {
	Username   string   `json:"username"`
	Password   string   `json:"password"`
	FullDomain string   `json:"fulldomain"`
	SubDomain  string   `json:"subdomain"`
	AllowFrom  []string `json:"allowfrom,omitempty"`
	Server     string   `json:"server_url,omitempty"`
}

func (w wire) credential() Credential {
	return Credential{Server: w.Server, Username: w.Username, Password: certfleet.Secret(w.Password), FullDomain: w.FullDomain, SubDomain: w.SubDomain, AllowFrom: w.AllowFrom}
}

// missing is the first field without which nothing works, or empty.
func (w wire) missing() string {
	for _, f := range []struct{ name, value string }{{"username", w.Username}, {"password", w.Password}, {"fulldomain", w.FullDomain}, {"subdomain", w.SubDomain}} {
		if f.value == "" {
			return f.name
		}
	}
	return ""
}

// Encode is the whole credential, password included, to be sealed.
func (c Credential) Encode() (certfleet.Secret, error) {
	b, err := json.Marshal(wire{Username: c.Username, Password: string(c.Password), FullDomain: c.FullDomain, SubDomain: c.SubDomain, AllowFrom: c.AllowFrom, Server: c.Server})
	return b, err
}

// Decode is the inverse of Encode.
func Decode(s certfleet.Secret) (Credential, error) {
	var w wire
	if err := json.Unmarshal(s, &w); err != nil {
		return Credential{}, fmt.Errorf("read acme-dns credential: it is not the JSON that was written")
	}
	if f := w.missing(); f != "" {
		return Credential{}, fmt.Errorf("read acme-dns credential: it has no %s", f)
	}
	return w.credential(), nil
}
