package api

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

// OfCertificate is the wire form of a certificate.
func OfCertificate(c *certfleet.Certificate) Certificate {
	return Certificate{
		ID: c.ID, Label: c.Label, Names: certfleet.Strings(c.Names), Policy: c.Policy, Targets: some(c.Targets), Labels: words(c.Labels),
		State: string(c.State), DueAt: c.DueAt, DueReason: c.DueReason, Lane: c.Lane.String(), Failures: c.Failures, Problem: c.Problem,
		Advice: c.Advice, FailedAt: c.FailedAt, VersionID: c.VersionID, NotAfter: c.NotAfter, CreatedAt: c.CreatedAt, Rev: c.Rev,
		External: c.External, ExternalAt: c.ExternalAt,
	}
}

// some is never nil, so that an empty list is [] in JSON.
func some(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func words(l certfleet.Labels) map[string]string {
	if l == nil {
		return map[string]string{}
	}
	return l
}

// OfDomain is the wire form of a domain.
func OfDomain(d *certfleet.Domain) Domain {
	return Domain{ID: d.ID, Name: d.Name.String(), Registered: d.Registered, Source: d.Source, Challenge: string(d.Challenge), Solver: d.Solver,
		ParkedAt: d.ParkedAt, ParkedReason: d.ParkedReason, Labels: words(d.Labels), CreatedAt: d.CreatedAt}
}

// OfPolicy is the wire form of a policy.
func OfPolicy(p *certfleet.Policy) Policy {
	s := p.Spec
	out := Policy{ID: p.ID, Label: p.Label, Labels: p.Labels, PolicySpec: PolicySpec{Authorities: s.Authorities, Profile: s.Profile, KeyType: string(s.KeyType),
		Challenge: string(s.Challenge), Solver: s.Solver, ChainIssuer: s.ChainIssuer, ReuseKey: s.ReuseKey, KeyCycle: string(s.KeyCycle)}}
	if b := s.Backup; b != nil {
		out.Backup = &Backup{Authority: b.Authority, Profile: b.Profile, KeyType: string(b.KeyType), KeyCycle: string(b.KeyCycle)}
	}
	if s.Validity != 0 {
		out.Validity = time.Duration(s.Validity).String()
	}
	return out
}

// OfAuthority is the wire form of an authority.
func OfAuthority(a *certfleet.Authority) Authority {
	return Authority{ID: a.ID, Label: a.Label, DirectoryURL: a.DirectoryURL, TrustPEM: a.TrustPEM, Unverified: a.Unverified, EAB: a.EAB, Note: a.Note, Labels: a.Labels}
}

// OfAccount is the wire form of an account at the authority with that label.
func OfAccount(a *certfleet.Account, authority string) Account {
	return Account{ID: a.ID, Label: a.Label, Authority: authority, Contact: some(a.Contact), URL: a.URL, State: string(a.State), AgreedAt: a.AgreedAt,
		EABKeyID: a.EABKeyID, KeyID: a.KeyID, RollingKey: a.NextKeyID != 0, Problem: a.Problem, Labels: a.Labels, CreatedAt: a.CreatedAt, Rev: a.Rev}
}

// OfOrder is the wire form of an order.
func OfOrder(o *certfleet.Order) Order {
	return Order{
		ID: o.ID, CertificateID: o.CertificateID, AuthorityID: o.AuthorityID, AccountID: o.AccountID, Slot: string(o.Slot), State: string(o.State),
		Manual: o.Manual, Lane: o.Lane.String(), URL: o.URL, CAStatus: o.CAStatus, Profile: o.Profile, Names: certfleet.Strings(o.Names),
		Replaces: o.Replaces, ReplacesNote: o.ReplacesNote, KeyID: o.KeyID, VersionID: o.VersionID, Attempts: o.Attempts, Problem: o.Problem,
		ProblemType: o.ProblemType, Advice: o.Advice, DueAt: o.DueAt, Owner: o.Owner, ExpiresAt: o.ExpiresAt, CreatedAt: o.CreatedAt,
		FinishedAt: o.FinishedAt, Rev: o.Rev,
	}
}

// OfAuthorization is the wire form of an authorization.
func OfAuthorization(a *certfleet.Authorization) Authorization {
	return Authorization{ID: a.ID, OrderID: a.OrderID, URL: a.URL, Name: a.Name.String(), Wildcard: a.Wildcard, Status: a.Status,
		ExpiresAt: a.ExpiresAt, Challenge: string(a.Challenge), Problem: a.Problem, SeenAt: a.SeenAt}
}

// OfChallenge is the wire form of a challenge, without its token.
func OfChallenge(c *certfleet.StoredChallenge) Challenge {
	return Challenge{ID: c.ID, OrderID: c.OrderID, AuthorizationID: c.AuthorizationID, Type: string(c.Type), Solver: c.Solver, URL: c.URL,
		Name: c.Name.String(), Status: c.Status, Hits: c.Hits, LastHit: c.LastHit, Seen: c.Seen, IntendedAt: c.IntendedAt,
		PresentedAt: c.PresentedAt, AnsweredAt: c.AnsweredAt, CleanedAt: c.CleanedAt}
}

// OfExchange is the wire form of an exchange.
func OfExchange(x *certfleet.Exchange) Exchange {
	return Exchange{At: x.At, Kind: x.Kind, Method: x.Method, URL: x.URL, Status: x.Status, Problem: x.Problem, RetryAfter: x.RetryAfter, TookMillis: x.Took.Milliseconds()}
}

// OfVersion is the wire form of a version.
func OfVersion(v *certfleet.Version) Version {
	return Version{
		ID: v.ID, CertificateID: v.CertificateID, OrderID: v.OrderID, KeyID: v.KeyID, Origin: v.Origin, Names: certfleet.Strings(v.Names),
		Serial: v.Serial, Fingerprint: v.Fingerprint, SPKI: v.SPKI, Issuer: v.Issuer, Subject: v.Subject, AuthorityID: v.AuthorityID,
		Profile: v.Profile, NotBefore: v.NotBefore, NotAfter: v.NotAfter, RevokedAt: v.RevokedAt, RevokeReason: v.RevokeReason,
		ReplacedBy: v.ReplacedBy, ARIID: v.ARIID, ARIStart: v.ARIStart, ARIEnd: v.ARIEnd, ARIAt: v.ARIAt, ARIURL: v.ARIURL,
		ARIPollAt: v.ARIPollAt, ARIProblem: v.ARIProblem, CreatedAt: v.CreatedAt, Rev: v.Rev,
	}
}

// OfKey is the wire form of a key: never its sealed part.
func OfKey(k *certfleet.Key) Key {
	return Key{ID: k.ID, Use: k.Use, Type: string(k.Type), SPKI: k.SPKI, Custody: string(k.Custody), Origin: k.Origin, OrderID: k.OrderID,
		ReplacesKeyID: k.ReplacesKeyID, CompromisedAt: k.CompromisedAt, CreatedAt: k.CreatedAt}
}

// OfTarget is the wire form of a target.
func OfTarget(t *certfleet.StoredTarget) Target {
	out := Target{ID: t.ID, Label: t.Label, Type: t.Type, Probe: t.Probe, Proof: string(t.Proof), Labels: t.Labels, Paused: t.Paused,
		Group: t.Group, Canary: t.Canary, PushMode: string(t.PushMode), Concurrency: t.Concurrency, Rate: t.Rate, Rev: t.Rev}
	_ = json.Unmarshal(t.Spec, &out.Spec) // it was JSON when it was stored
	for k, v := range out.Spec {
		out.Spec[k] = withoutPasswords(v)
	}
	return out
}

// OfDelivery is the wire form of a delivery, without its receipt.
func OfDelivery(d *certfleet.Delivery) Delivery {
	return Delivery{ID: d.ID, VersionID: d.VersionID, TargetID: d.TargetID, Target: d.Target, CertificateID: d.CertificateID, State: string(d.State),
		Attempts: d.Attempts, Problem: d.Problem, Advice: d.Advice, DueAt: d.DueAt, Held: d.Held, Rollback: d.Rollback, SentAt: d.SentAt, AppliedAt: d.AppliedAt,
		ServedAt: d.ServedAt, CreatedAt: d.CreatedAt, Rev: d.Rev}
}

// OfSighting is the wire form of a sighting.
func OfSighting(s *certfleet.Sighting) Sighting {
	return Sighting{Name: s.Name.String(), Address: s.Address, Fingerprint: s.Fingerprint, Problem: s.Problem, At: s.At}
}

// OfSlot is the wire form of a slot.
func OfSlot(s *certfleet.Slot) Slot {
	return Slot{Name: s.Name.String(), Kind: string(s.Kind), VersionID: s.VersionID, Since: s.Since}
}

// OfEvent is the wire form of an event.
func OfEvent(e *certfleet.Event) Event {
	return Event{ID: e.ID, Cursor: fmt.Sprintf("%d-%d", e.Xact, e.ID), At: e.At, Kind: e.Kind, CertificateID: e.CertificateID, OrderID: e.OrderID,
		VersionID: e.VersionID, TargetID: e.TargetID, Actor: e.Actor, Msg: e.Msg, Data: e.Data}
}

// OfToken is the wire form of a token: never its hash.
func OfToken(t *certfleet.Token) Token {
	scopes := make([]string, len(t.Scopes))
	for i, s := range t.Scopes {
		scopes[i] = string(s)
	}
	return Token{ID: t.ID, Label: t.Label, Scopes: scopes, Labels: words(t.Labels), CreatedAt: t.CreatedAt, UsedAt: t.UsedAt, ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt}
}

// All turns a list into its wire form.
func All[R, W any](rows []R, of func(*R) W) []W {
	out := make([]W, len(rows))
	for i := range rows {
		out[i] = of(&rows[i])
	}
	return out
}
