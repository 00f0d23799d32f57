// Package rfc2136 solves dns-01 (RFC 8555 section 8.4) by signed dynamic
// updates (RFC 2136, RFC 8945) to the zone's primary server.
package rfc2136

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/miekg/dns"
)

// The defaults of a Config.
const (
	DefaultTimeout = 10 * time.Second
	DefaultTTL     = 60 // seconds
)

// algorithms are the TSIG algorithms (RFC 8945 section 6) by an operator's word.
var algorithms = map[string]string{
	"hmac-sha256": dns.HmacSHA256,
	"hmac-sha384": dns.HmacSHA384,
	"hmac-sha512": dns.HmacSHA512,
	"hmac-sha224": dns.HmacSHA224,
	"hmac-sha1":   dns.HmacSHA1, // what some old servers have alone
}

// Config says which server is updated and with which key.
type Config struct {
	// Server is the zone's primary, as host or host:port.
	Server string `json:"server"`
	// Zone that is updated; empty for the one that the server says holds the record.
	Zone string `json:"zone,omitempty"`
	// Key is the name of the TSIG key, as the server knows it.
	Key string `json:"key"`
	// Algorithm of the key: hmac-sha256 (the default), -sha384, -sha512, -sha224 or -sha1.
	Algorithm string `json:"algorithm,omitempty"`
	// SecretRef refers to the key's secret in base64, as file:/path or env:NAME.
	SecretRef string `json:"secret"`
	// TTL of the record in seconds; zero for 60.
	TTL uint32 `json:"ttl,omitempty"`
	// Timeout of one exchange with the server; zero for 10s.
	Timeout certfleet.Duration `json:"timeout,omitempty"`
	// NoFollow keeps the record at _acme-challenge even where that is a CNAME.
	NoFollow bool `json:"no_follow,omitempty"`
	// DNS says how the CNAME and the authoritative servers are asked.
	DNS dnsq.Config `json:"dns,omitzero"`
}

// Solver updates the zone.
type Solver struct {
	config   Config
	resolver *dnsq.Resolver
	dial     dnsq.Dialer
}

// New checks the configuration. The secret is opened at each update, so that a
// changed file is used without a restart, and is not kept in between.
func New(c Config, d dial.Deps) (*Solver, error) {
	if c.Server == "" {
		return nil, invalid("the solver has no server", "give the zone's primary under server, such as ns1.example.com:53")
	}
	if c.Key == "" || c.SecretRef == "" {
		return nil, invalid("the solver has no TSIG key", "give key and secret: an update that is not signed is never sent")
	}
	if c.Algorithm == "" {
		c.Algorithm = "hmac-sha256"
	}
	c.Algorithm = algorithms[strings.TrimSuffix(strings.ToLower(c.Algorithm), ".")]
	if c.Algorithm == "" {
		return nil, invalid("the TSIG algorithm is not known", "use one of hmac-sha256, hmac-sha384, hmac-sha512, hmac-sha224, hmac-sha1")
	}
	c.Server, c.Key = dnsq.WithPort(c.Server, "53"), dns.CanonicalName(c.Key)
	if c.TTL == 0 {
		c.TTL = DefaultTTL
	}
	if c.Timeout <= 0 {
		c.Timeout = certfleet.Duration(DefaultTimeout)
	}
	c.DNS = c.DNS.Or(d.Resolvers)
	return &Solver{config: c, resolver: c.DNS.Resolver(d.Dial), dial: d.Dial}, nil
}

func invalid(msg, advice string) error {
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: msg, Advice: advice}
}

// state is kept so that clean-up goes to the record that present went to, even
// if the CNAME points elsewhere by then.
type state struct {
	Record string `json:"record"`
	Zone   string `json:"zone"`
}

// Present adds the value and leaves others be: adding what is there already
// changes nothing (RFC 2136 section 3.4.2.2).
func (s *Solver) Present(ctx context.Context, c certfleet.Challenge) ([]byte, error) {
	at, err := s.where(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg).SetUpdate(at.Zone)
	m.Insert([]dns.RR{s.text(at.Record, c.DNSValue())})
	if err := s.send(ctx, m, at); err != nil {
		return nil, err
	}
	return json.Marshal(at)
}

// CleanUp deletes that one value (RFC 2136 section 2.5.4).
func (s *Solver) CleanUp(ctx context.Context, c certfleet.Challenge, saved []byte) error {
	at, err := s.where(ctx, c, saved)
	if err != nil {
		return err
	}
	m := new(dns.Msg).SetUpdate(at.Zone)
	m.Remove([]dns.RR{s.text(at.Record, c.DNSValue())})
	return s.send(ctx, m, at)
}

// Ready looks once whether all authoritative servers show the value; the
// primary's secondaries follow within their own time.
func (s *Solver) Ready(ctx context.Context, c certfleet.Challenge, _ []byte) (bool, string, error) {
	view, err := s.resolver.Look(ctx, c.DNSName(), c.DNSValue())
	if err != nil {
		return false, "", err
	}
	return view.Ready(), view.String(), nil
}

func (s *Solver) text(record, value string) *dns.TXT {
	return &dns.TXT{Hdr: dns.RR_Header{Name: record, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: s.config.TTL}, Txt: []string{value}}
}

// where is the record and its zone: as saved, or found anew.
func (s *Solver) where(ctx context.Context, c certfleet.Challenge, saved []byte) (state, error) {
	var at state
	if len(saved) > 0 {
		if err := json.Unmarshal(saved, &at); err != nil {
			return at, fmt.Errorf("read the solver's state: %w", err)
		}
		if at.Record != "" && at.Zone != "" {
			return at, nil
		}
	}
	at = state{Record: c.DNSName(), Zone: s.config.Zone}
	var err error
	if !s.config.NoFollow {
		if at.Record, err = s.resolver.Follow(ctx, c.DNSName()); err != nil {
			return at, err
		}
	}
	if at.Zone == "" {
		at.Zone, err = s.resolver.ZoneAt(ctx, s.config.Server, at.Record)
	}
	at.Zone = dns.CanonicalName(at.Zone)
	return at, err
}

// errUnsigned is an answer that anybody could have sent (RFC 8945 section 5.4).
var errUnsigned = errors.New("the answer is not signed")

// send updates the zone. TCP alone: an update must not be sent twice because
// its answer was lost on the way.
func (s *Solver) send(ctx context.Context, m *dns.Msg, at state) error {
	key, err := s.open()
	if err != nil {
		return err
	}
	m.SetTsig(s.config.Key, s.config.Algorithm, 300, time.Now().Unix())
	in, err := dnsq.Exchange(ctx, s.dial, "tcp", s.config.Server, m, time.Duration(s.config.Timeout), key)
	if in != nil && in.Rcode != dns.RcodeSuccess {
		return s.refused(in, at)
	}
	if err == nil && in.IsTsig() == nil {
		err = errUnsigned
	}
	if err != nil {
		return &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("update %s at %s", at.Record, s.config.Server), Advice: "check that the server answers dynamic updates over TCP from here", Err: err}
	}
	return nil
}

// open reads the key's secret.
func (s *Solver) open() (dns.TsigProvider, error) {
	secret, err := dial.Reference(s.config.SecretRef)
	if err != nil {
		return nil, fmt.Errorf("open the TSIG secret: %w", err)
	}
	defer secret.Wipe()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(secret)))
	if err != nil || len(raw) == 0 {
		return nil, invalid("the TSIG secret is not base64", "copy the secret alone, as it stands in the server's key file")
	}
	return signer(raw), nil
}
