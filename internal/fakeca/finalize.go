package fakeca

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/certfleet/certfleet"
)

// finalize signs what the CSR asks for (RFC 8555 section 7.4).
func (ca *CA) finalize(s *session) (reply, *Problem) {
	var req struct {
		CSR string `json:"csr"`
	}
	if p := s.read(&req); p != nil {
		return reply{}, p
	}
	o, p := ca.begin(s, req.CSR)
	if p != nil {
		return reply{}, p
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.orderReply(s, 200, o), nil
}

// begin checks order and CSR, takes the order out of everybody's hands, and
// signs unless the order is to be stuck.
func (ca *CA) begin(s *session, encoded string) (*order, *Problem) {
	ca.mu.Lock()
	o, p := ca.mine(s)
	if p == nil {
		if st := ca.status(o, s.now); st != "ready" {
			p = problem(http.StatusForbidden, "orderNotReady", "the order is %s", st)
		}
	}
	ca.mu.Unlock()
	if p != nil {
		return nil, p
	}
	csr, p := ca.checkCSR(o, encoded)
	if p != nil {
		return nil, p
	}
	ca.mu.Lock()
	if o.began {
		ca.mu.Unlock()
		return nil, problem(http.StatusForbidden, "orderNotReady", "the order is processing")
	}
	o.began = true
	ca.closeOrder(o)
	ca.mu.Unlock()
	stuck := ca.strikes(s.endpoint, s.now, Stuck)
	if stuck == nil {
		ca.issue(s, o, csr, ca.o.IssueDelay)
	} else if stuck.Delay > 0 {
		ca.issue(s, o, csr, stuck.Delay)
	}
	return o, nil
}

func (ca *CA) checkCSR(o *order, encoded string) (*x509.CertificateRequest, *Problem) {
	bad := func(format string, args ...any) (*x509.CertificateRequest, *Problem) {
		return nil, problem(400, "badCSR", format, args...)
	}
	der, err := b64.DecodeString(encoded)
	if err != nil {
		return bad("the CSR is not encoded as it should be")
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return bad("the CSR cannot be read")
	}
	if !ca.o.Trusting && csr.CheckSignature() != nil {
		return bad("the CSR's signature does not verify")
	}
	if !acceptable(csr.PublicKey) {
		return nil, problem(400, "badPublicKey", "keys of this kind or size are not certified")
	}
	ca.mu.Lock()
	blocked := ca.blocked[sha256.Sum256(csr.RawSubjectPublicKeyInfo)]
	ca.mu.Unlock()
	if blocked {
		return nil, problem(400, "badPublicKey", "the key was reported as compromised")
	}
	if !fits(csr, o.names) {
		return bad("the CSR does not ask for the names of the order")
	}
	return csr, nil
}

func acceptable(pub any) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize == 256 || k.Curve.Params().BitSize == 384
	case *rsa.PublicKey:
		return slices.Contains([]int{2048, 3072, 4096}, k.N.BitLen())
	}
	return false
}

// fits reports whether the CSR asks for exactly the order's names.
func fits(csr *x509.CertificateRequest, names []certfleet.Name) bool {
	asked := map[string]bool{}
	for _, n := range csr.DNSNames {
		asked[n] = true
	}
	for _, ip := range csr.IPAddresses {
		asked[ip.String()] = true
	}
	if csr.Subject.CommonName != "" {
		asked[csr.Subject.CommonName] = true
	}
	for _, n := range names {
		if !asked[n.String()] {
			return false
		}
	}
	return len(asked) == len(names) && len(csr.EmailAddresses) == 0 && len(csr.URIs) == 0
}

// issue signs and enters the certificate, and counts it. It is seen after a wait.
func (ca *CA) issue(s *session, o *order, csr *x509.CertificateRequest, wait time.Duration) {
	now := s.now
	p := &ca.o.Profiles[o.profile]
	from, to := span(o, p.at(now).Life, now)
	ca.mu.Lock()
	n := ca.certs.add(record{order: o.id, begins: from.Unix(), life: uint32(to.Sub(from)/time.Second) + 1, who: uint32(o.who.n), profile: uint8(o.profile), set: o.set, names: hashes(o.names)})
	ca.mu.Unlock()
	key := csr.PublicKey
	if ca.strikes(s.endpoint, s.now, WrongKey) != nil {
		key = ca.signer.key.Public()
	}
	der, err := ca.signer.sign(leaf{serial: ca.certs.number(n, ca.o.Seed), names: o.names, from: from, to: to, key: key, commonName: p.CommonName, crl: s.base + "/crl/1.crl"})
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if err != nil {
		o.problem = problem(500, "serverInternal", "sign the certificate: %s", err)
		ca.certs.at(n).state |= spoiled
		return
	}
	o.cert, o.der, o.doneAt = n, der, now.Add(wait)
	if ca.o.Lean {
		ca.finished = append(ca.finished, o.id)
		ca.certs.forgetExpired(now)
	}
	if r := ca.certs.named(o.replaces); r != nil {
		r.state |= replaced
	}
	ca.sets[o.set] = struct{}{}
	ca.limits.issued(o, s.base, now)
	ca.stats.Issued++
}

// span is when a certificate holds: from an hour ago, as Boulder does, so that
// clocks that are a little late believe it.
func span(o *order, life time.Duration, now time.Time) (from, to time.Time) {
	from = now.Add(-time.Hour).Truncate(time.Second).UTC()
	if !o.from.IsZero() {
		from = o.from
	}
	to = from.Add(life - time.Second)
	if !o.to.IsZero() && o.to.Before(to) {
		to = o.to
	}
	return from, to
}

// certificate is a chain; its alternates end in the other root.
func (ca *CA) certificate(s *session) (reply, *Problem) {
	ca.mu.Lock()
	der, p := ca.download(s)
	ca.mu.Unlock()
	chain := s.id(2)
	if p == nil && chain >= uint64(len(ca.signer.intermediates)) {
		p = notFound("chain")
	}
	if p != nil {
		return reply{}, p
	}
	body := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if ca.strikes(s.endpoint, s.now, MissingIntermediate) == nil {
		body = append(body, ca.signer.pems[chain]...)
	}
	a := reply{200, http.Header{"Content-Type": {"application/pem-certificate-chain"}}, body}
	for i := range ca.signer.intermediates {
		if i != int(chain) {
			url := s.base + "/certificate/" + s.path[1]
			if i > 0 {
				url += "/" + strconv.Itoa(i)
			}
			a = a.with("Link", "<"+url+`>;rel="alternate"`)
		}
	}
	return a, nil
}

// download is the leaf that the request's path names. The caller holds the lock.
func (ca *CA) download(s *session) ([]byte, *Problem) {
	if len(s.path) < 2 {
		return nil, notFound("certificate")
	}
	n, ok := ca.certs.find(s.path[1], ca.o.Seed)
	o := ca.withCert(n)
	switch {
	case !ok, o == nil, o.cert != n, o.doneAt.After(s.now):
		return nil, notFound("certificate")
	case o.who != s.who:
		return nil, unauthorized("the certificate is another account's")
	}
	return o.der, nil
}
