package fakeca

import (
	"crypto"
	"encoding/json"
	"fmt"
	"net/mail"
	"strconv"
	"strings"
)

// account is somebody who orders (RFC 8555 section 7.1.2).
type account struct {
	n       uint64 // 1 is the first
	key     crypto.PublicKey
	print   string // thumbprint of the key
	status  string // valid or deactivated
	contact []string
	eab     json.RawMessage
	orders  []uint64 // not in a lean CA
}

// tag names the account where its key may change.
func (a *account) tag() string { return strconv.FormatUint(a.n, 10) }

func (a *account) url(base string) string { return base + "/account/" + a.tag() }

type accountJSON struct {
	Status             string          `json:"status"`
	Contact            *[]string       `json:"contact,omitempty"`
	TermsAgreed        bool            `json:"termsOfServiceAgreed,omitempty"`
	OnlyReturnExisting bool            `json:"onlyReturnExisting,omitempty"`
	EAB                json.RawMessage `json:"externalAccountBinding,omitempty"`
	Orders             string          `json:"orders,omitempty"`
}

func (a *account) wire(base string) accountJSON {
	return accountJSON{Status: a.status, Contact: &a.contact, TermsAgreed: true, EAB: a.eab, Orders: a.url(base) + "/orders"}
}

func (ca *CA) newAccount(s *session) (reply, *Problem) {
	var req accountJSON
	if p := s.read(&req); p != nil {
		return reply{}, p
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if a := ca.byKey[s.print]; a != nil {
		if a.status != "valid" {
			return reply{}, unauthorized("an account with this key exists and is %s", a.status)
		}
		return write(200, a.wire(s.base)).with("Location", a.url(s.base)), nil
	}
	if req.OnlyReturnExisting {
		return reply{}, problem(400, "accountDoesNotExist", "no account has this key")
	}
	if p := ca.mayRegister(s, req); p != nil {
		return reply{}, p
	}
	a := &account{n: uint64(len(ca.accounts) + 1), key: s.key, print: s.print, status: "valid", eab: req.EAB}
	if req.Contact != nil {
		a.contact = *req.Contact
	}
	ca.accounts = append(ca.accounts, a)
	ca.byKey[a.print] = a
	return write(201, a.wire(s.base)).with("Location", a.url(s.base)), nil
}

func (ca *CA) mayRegister(s *session, req accountJSON) *Problem {
	if !req.TermsAgreed {
		return problem(400, "userActionRequired", "agree to the terms of service")
	}
	if p := checkContact(req.Contact); p != nil {
		return p
	}
	if p := ca.limits.newAccount(s); p != nil {
		ca.stats.Refused++
		return p
	}
	if len(ca.o.EAB) == 0 {
		return nil
	}
	if len(req.EAB) == 0 {
		return problem(403, "externalAccountRequired", "an external account binding is required")
	}
	id, p := checkEAB(req.EAB, s.jwk, s.url, ca.o.EAB)
	if p == nil && ca.eabUsed[id] {
		return unauthorized("the external account binding key was used before")
	}
	ca.eabUsed[id] = ca.eabUsed[id] || p == nil
	return p
}

func checkContact(list *[]string) *Problem {
	if list == nil {
		return nil
	}
	for _, c := range *list {
		addr, ok := strings.CutPrefix(c, "mailto:")
		if !ok {
			return problem(400, "unsupportedContact", "only mailto contacts are supported")
		}
		if a, err := mail.ParseAddress(addr); err != nil || a.Address != addr {
			return problem(400, "invalidContact", "%q is not a mail address", addr)
		}
	}
	return nil
}

// account reads, changes or deactivates an account, or lists its orders.
func (ca *CA) account(s *session) (reply, *Problem) {
	if s.id(1) != s.who.n {
		return reply{}, unauthorized("the account is another's")
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	switch {
	case len(s.path) == 3 && s.path[2] == "orders":
		return ca.orderList(s), nil
	case len(s.path) != 2:
		return reply{}, notFound("resource")
	}
	if s.asksOnly() {
		return write(200, s.who.wire(s.base)), nil
	}
	var req accountJSON
	if p := s.read(&req); p != nil {
		return reply{}, p
	}
	if p := checkContact(req.Contact); p != nil {
		return reply{}, p
	}
	switch {
	case req.Status == "deactivated":
		s.who.status = req.Status
	case req.Status != "" && req.Status != "valid":
		return reply{}, malformed("an account cannot become %q", req.Status)
	case req.Contact != nil:
		s.who.contact = *req.Contact
	}
	return write(200, s.who.wire(s.base)), nil
}

// pageOfOrders is how many orders one page lists.
const pageOfOrders = 50

func (ca *CA) orderList(s *session) reply {
	_, cursor, _ := strings.Cut(s.url, "?cursor=")
	from, _ := strconv.Atoi(cursor)
	urls, list := []string{}, s.who.orders
	from = min(max(from, 0), len(list))
	to := min(from+pageOfOrders, len(list))
	for _, id := range list[from:to] {
		urls = append(urls, s.base+"/order/"+strconv.FormatUint(id, 10))
	}
	a := write(200, map[string]any{"orders": urls})
	if to < len(list) {
		return a.with("Link", fmt.Sprintf(`<%s/orders?cursor=%d>;rel="next"`, s.who.url(s.base), to))
	}
	return a
}

// keyChange gives an account a new key (RFC 8555 section 7.3.5).
func (ca *CA) keyChange(s *session) (reply, *Problem) {
	m, p := open(s.payload)
	if p != nil {
		return reply{}, p
	}
	key, print, p := m.key()
	if p == nil {
		p = m.verify(key)
	}
	if p != nil {
		return reply{}, p
	}
	var inner struct {
		Account string          `json:"account"`
		OldKey  json.RawMessage `json:"oldKey"`
	}
	if json.Unmarshal(m.payload, &inner) != nil || m.URL != s.url || m.Nonce != "" || inner.Account != s.who.url(s.base) {
		return reply{}, malformed("the inner JWS is not about this account and this request")
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	_, old, p := (&message{header: header{JWK: inner.OldKey}}).key()
	if p != nil || old != s.who.print {
		return reply{}, malformed("the inner JWS names another old key")
	}
	if other := ca.byKey[print]; other != nil {
		p := problem(409, "conflict", "another account has the new key")
		p.header = map[string][]string{"Location": {other.url(s.base)}}
		return reply{}, p
	}
	delete(ca.byKey, s.who.print)
	s.who.key, s.who.print = key, print
	ca.byKey[print] = s.who
	return write(200, s.who.wire(s.base)), nil
}
