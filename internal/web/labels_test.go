package web

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

// twin makes one of everything that is listed, with a label.
func (k *kit) twin(label string) {
	k.t.Helper()
	labels := fmt.Sprintf(`"labels":{"tenant":%q}`, label)
	name := label + ".example.com"
	k.ok("POST", "/v1/authorities", fmt.Sprintf(`{"label":%q,"directory_url":"https://ca.test/%s",%s}`, label, label, labels))
	k.ok("POST", "/v1/accounts", fmt.Sprintf(`{"authority":%q,"later":true,%s}`, label, labels))
	k.ok("POST", "/v1/policies", fmt.Sprintf(`{"label":%q,"authorities":[%q],%s}`, label, label, labels))
	k.ok("POST", "/v1/targets", fmt.Sprintf(`{"label":%q,"type":"files","spec":{"dir":"/srv/tls"},%s}`, label, labels))
	k.ok("POST", "/v1/certificates", fmt.Sprintf(`{"names":[%q],"policy":%q,"targets":[%q],%s}`, name, label, label, labels))
	k.ok("POST", "/v1/factories", fmt.Sprintf(`{"label":%q,"domain_template_http01":["{DOMAIN}"],%s}`, label, labels))
	k.ok("PATCH", "/v1/domains/"+name, "{"+labels+"}")
	must(k.t, k.db.Tx(k.t.Context(), time.Now(), func(tx *store.Tx) error { return k.issued(tx, label, name) }))
}

// issued gives the certificate of a twin an order and what comes of it.
func (k *kit) issued(tx *store.Tx, label, name string) error {
	ctx := k.t.Context()
	c, err := tx.CertificateByLabel(ctx, 0, name)
	must(k.t, err)
	a, err := tx.AccountByLabel(ctx, 0, label)
	must(k.t, err)
	o := &certfleet.Order{CertificateID: c.ID, AuthorityID: a.AuthorityID, AccountID: a.ID, Slot: certfleet.SlotECDSA, Names: c.Names}
	must(k.t, tx.AddOrder(ctx, o))
	az := &certfleet.Authorization{OrderID: o.ID, URL: "https://ca.test/a/" + label, Name: c.Names[0], Status: "pending"}
	must(k.t, tx.SeeAuthorization(ctx, az))
	must(k.t, tx.IntendChallenge(ctx, &certfleet.StoredChallenge{OrderID: o.ID, AuthorizationID: az.ID, Type: certfleet.HTTP01, Name: c.Names[0], Token: label}))
	key := &certfleet.Key{Use: "certificate", SPKI: label}
	must(k.t, tx.AddKey(ctx, key))
	v := &certfleet.Version{CertificateID: c.ID, OrderID: o.ID, KeyID: key.ID, Names: c.Names, Fingerprint: label}
	must(k.t, tx.AddVersion(ctx, v, nil))
	must(k.t, tx.WantDeliveries(ctx, v))
	must(k.t, tx.AddAgent(ctx, &certfleet.Agent{Label: label, Target: label, Labels: certfleet.Labels{"tenant": label}}))
	return tx.AddToken(ctx, &certfleet.Token{Label: label, Hash: label, Scopes: certfleet.Scopes[:1], Labels: certfleet.Labels{"tenant": label}})
}

// TestEveryListIsFilteredByLabel walks the lists that the API describes: a new
// one must take a label too, or be named here. What is listed of one object needs
// none.
func TestEveryListIsFilteredByLabel(t *testing.T) {
	// Neither what is never ordered nor a replacement nor what the configuration
	// names carries labels of its own.
	without := map[string]bool{"/v1/target-types": true, "/v1/blocklist": true, "/v1/replacements": true, "/v1/acmedns": true}
	k := newKit(t)
	k.twin("acme")
	k.twin("other")
	lists := 0
	for _, op := range operations(described()) {
		if op.Method != "GET" || !strings.HasPrefix(op.OperationID, "list-") || strings.Contains(op.Path, "{") || without[op.Path] {
			continue
		}
		lists++
		count := func(query string) int {
			var p api.Page[map[string]any]
			k.ok("GET", op.Path+"?limit=1000"+query, "").into(t, &p)
			return len(p.Items)
		}
		all, some, none := count(""), count("&label="+url.QueryEscape("tenant=acme")), count("&label="+url.QueryEscape("tenant=nobody"))
		if some < 1 || some >= all || none != 0 {
			t.Errorf("%s: %d in all, %d of tenant acme, %d of tenant nobody", op.Path, all, some, none)
		}
		if r := k.do(k.tokens[certfleet.ScopeAdmin], "GET", op.Path+"?label=tenant", ""); r.status != 422 {
			t.Errorf("%s?label=tenant answers %d", op.Path, r.status)
		}
	}
	if lists < 13 {
		t.Errorf("only %d lists were walked", lists)
	}
}

func TestTheStreamIsFilteredByLabel(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.twin("acme")
	k.twin("other")
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	other, err := k.db.CertificateByLabel(ctx, 0, "other.example.com")
	must(t, err)
	n := 0
	for e, err := range k.client(certfleet.ScopeRead).Stream(ctx, api.StreamQuery{After: "start", Labelled: api.Labelled{Label: []string{"tenant=other"}}}) {
		must(t, err)
		if n++; n == 1 { // from here on they come as they happen
			k.twin("third")
			k.ok("POST", "/v1/certificates/other.example.com/pause", "")
		}
		if e.CertificateID != other.ID {
			t.Fatalf("the stream sent %+v of another", e)
		}
		if e.Kind == "certificate.paused" {
			return
		}
	}
	t.Errorf("the stream ended after %d events", n)
}
