package fakeca

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// reasons that a subscriber may give (RFC 5280 section 5.3.1, as Let's Encrypt takes them).
var reasons = []int{0, 1, 3, 4, 5}

const keyCompromise = 1

// revoke revokes a certificate by who ordered it, who proved its names, or who
// holds its key (RFC 8555 section 7.6).
func (ca *CA) revoke(s *session) (reply, *Problem) {
	var req struct {
		Certificate string `json:"certificate"`
		Reason      int    `json:"reason"`
	}
	if p := s.read(&req); p != nil {
		return reply{}, p
	}
	der, err := b64.DecodeString(req.Certificate)
	if err != nil {
		return reply{}, malformed("the certificate is not encoded as it should be")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil || cert.CheckSignatureFrom(ca.signer.intermediates[0]) != nil {
		return reply{}, notFound("certificate")
	}
	if !slices.Contains(reasons, req.Reason) {
		return reply{}, problem(400, "badRevocationReason", "reason %d is not accepted", req.Reason)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	n, ok := ca.certs.bySerial(cert.SerialNumber.Bytes(), ca.o.Seed)
	if !ok {
		return reply{}, notFound("certificate")
	}
	if p := ca.mayRevoke(s, cert, ca.certs.at(n)); p != nil {
		return reply{}, p
	}
	if req.Reason == keyCompromise {
		ca.blocked[sha256.Sum256(cert.RawSubjectPublicKeyInfo)] = true
	}
	r := ca.certs.at(n)
	r.state, r.reason = r.state|revoked, uint8(req.Reason)
	return reply{200, map[string][]string{}, nil}, nil
}

func (ca *CA) mayRevoke(s *session, cert *x509.Certificate, r *record) *Problem {
	if r.state&revoked != 0 {
		return problem(400, "alreadyRevoked", "the certificate is revoked already")
	}
	if s.who == nil {
		if _, print, p := (&message{header: header{JWK: jwkOf(cert)}}).key(); p != nil || print != s.print {
			return unauthorized("the request is not signed by the certificate's key")
		}
		return nil
	}
	if r.who == uint32(s.who.n) {
		return nil
	}
	for _, name := range append(slices.Clone(cert.DNSNames), ipStrings(cert)...) {
		z := ca.reusable[strconv.FormatUint(s.who.n, 36)+"/"+name]
		if z == nil || z.status(s.now) != "valid" {
			return unauthorized("the account has no valid authorization for %s", name)
		}
	}
	return nil
}

func ipStrings(cert *x509.Certificate) (out []string) {
	for _, ip := range cert.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}

// Issued is a certificate as MassRevoke and Hurry see it.
type Issued struct {
	Number    uint64 // counts from 1 in the order of issuance
	Serial    string // lower-case hex
	Account   uint64
	Profile   string
	NotBefore time.Time
	NotAfter  time.Time
	Replaced  bool
}

// MassRevoke revokes every certificate that still holds and that which chooses
// (all if nil), and says how many. Their renewal windows lie in the past from now on.
func (ca *CA) MassRevoke(reason int, which func(Issued) bool) int {
	return ca.mark(which, func(r *record) bool {
		fresh := r.state&revoked == 0
		r.state, r.reason = r.state|revoked, uint8(reason)
		return fresh
	})
}

// Hurry puts renewal windows into the past without revoking, as a CA does before
// it must revoke, or in a drill.
func (ca *CA) Hurry(which func(Issued) bool) int {
	return ca.mark(which, func(r *record) bool {
		fresh := r.state&hurried == 0
		r.state |= hurried
		return fresh
	})
}

// Some chooses a share of all certificates, by the seed.
func (ca *CA) Some(share float64) func(Issued) bool {
	return func(i Issued) bool { return ca.luck(^uint64(0), i.Number) < share }
}

// Revoked says of a serial (lower-case hex) whether it is revoked, and why.
func (ca *CA) Revoked(serial string) (reason int, is bool) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	n, ok := ca.certs.find(serial, ca.o.Seed)
	if !ok {
		return 0, false
	}
	r := ca.certs.at(n)
	return int(r.reason), r.state&revoked != 0
}

func (ca *CA) mark(which func(Issued) bool, set func(*record) bool) (n int) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	now := ca.o.Now()
	for i := range ca.certs.records {
		r, number := &ca.certs.records[i], ca.certs.first+uint64(i)+1
		if r.notAfter().Before(now) || r.state&spoiled != 0 {
			continue
		}
		if (which == nil || which(ca.describe(r, number))) && set(r) {
			n++
		}
	}
	return n
}

func (ca *CA) describe(r *record, number uint64) Issued {
	return Issued{
		Number: number, Serial: ca.certs.serial(number, ca.o.Seed), Account: uint64(r.who), Profile: ca.o.Profiles[r.profile].Name,
		NotBefore: time.Unix(r.begins, 0).UTC(), NotAfter: r.notAfter(), Replaced: r.state&replaced != 0,
	}
}

func jwkOf(cert *x509.Certificate) json.RawMessage {
	b, _ := json.Marshal(jose.JSONWebKey{Key: cert.PublicKey}) // nil, and refused later, for keys of other kinds
	return b
}
