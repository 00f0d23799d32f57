package fakeca

import (
	"crypto"
	"encoding/json"
	"net/http"
	"strings"
)

// session is a request whose signature, nonce and URL were checked.
type session struct {
	*call
	who     *account         // nil when the request carries its own key
	key     crypto.PublicKey // that key
	jwk     json.RawMessage
	print   string // its thumbprint
	payload []byte
}

// signed checks a POST (RFC 8555 sections 6.2 to 6.5).
func (ca *CA) signed(c *call) (*session, *Problem) {
	if c.contentType != "application/jose+json" {
		return nil, problem(http.StatusUnsupportedMediaType, "malformed", "the content type must be application/jose+json")
	}
	m, p := open(c.body)
	if p != nil {
		return nil, p
	}
	if m.URL != c.url {
		return nil, unauthorized("the JWS is for the URL %q, not for this one", m.URL)
	}
	if !ca.nonces.take(m.Nonce) {
		return nil, problem(400, "badNonce", "the nonce is not one of ours, or was used before")
	}
	s := &session{call: c, payload: m.payload, jwk: m.JWK}
	if p := ca.identify(s, m); p != nil {
		return nil, p
	}
	if !ca.o.Trusting {
		if p := m.verify(s.key); p != nil {
			return nil, p
		}
	}
	return s, nil
}

// identify finds who signed: by key where there is no account yet or a
// certificate's key revokes, else by the account's URL.
func (ca *CA) identify(s *session, m *message) (p *Problem) {
	byKey := s.endpoint == "newAccount" || s.endpoint == "revokeCert" && m.KeyID == ""
	switch {
	case (len(m.JWK) > 0) == (m.KeyID != ""):
		return malformed("the JWS must have either jwk or kid")
	case byKey && m.KeyID != "":
		return malformed("this request must carry jwk, not kid")
	case byKey:
		s.key, s.print, p = m.key()
		return p
	case m.KeyID == "":
		return malformed("this request must carry kid, not jwk")
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if s.who = ca.find(m.KeyID, s.base); s.who == nil {
		return problem(400, "accountDoesNotExist", "account %q not found", m.KeyID)
	}
	if s.who.status != "valid" {
		return unauthorized("the account is %s", s.who.status)
	}
	s.key = s.who.key
	return nil
}

// find is the account with a URL. The caller holds the lock.
func (ca *CA) find(url, base string) *account {
	rest, ok := strings.CutPrefix(url, base+"/account/")
	if !ok {
		return nil
	}
	n := (&call{path: []string{rest}}).id(0)
	if n == 0 || n > uint64(len(ca.accounts)) {
		return nil
	}
	return ca.accounts[n-1]
}

// read decodes the payload.
func (s *session) read(v any) *Problem {
	if err := json.Unmarshal(s.payload, v); err != nil {
		return malformed("the payload is not what is expected here: %s", err)
	}
	return nil
}

// asksOnly reports a POST-as-GET (RFC 8555 section 6.3).
func (s *session) asksOnly() bool { return len(s.payload) == 0 }
