package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/web/compat"
)

// TestALongFormOverHTTP2IsReadToItsEnd before it is refused: a stream that is reset
// while a client such as curl still sends tells it of that, and of no answer.
func TestALongFormOverHTTP2IsReadToItsEnd(t *testing.T) {
	k := furnished(t)
	srv := httptest.NewUnstartedServer(k.h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	form := strings.NewReader("domain=" + strings.Repeat("x", 6<<20))
	req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+compat.Prefix+"/domains/search.json", form)
	must(t, err)
	req.SetBasicAuth("x", k.tokens[certfleet.ScopeRead])
	res, err := srv.Client().Do(req)
	must(t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	must(t, err)
	if res.ProtoMajor != 2 || form.Len() != 0 || !strings.Contains(string(got), "over the limit") {
		t.Errorf("HTTP/%d, %d bytes were not read: %d %s", res.ProtoMajor, form.Len(), res.StatusCode, got)
	}
}

// servers are acme-dns servers without anything behind them.
type servers struct{ ACMEDNS }

func (servers) Servers() []api.ACMEDNSServer {
	return []api.ACMEDNSServer{{ID: 1, Solver: "dns", URL: "https://acmedns.test"}}
}

func TestFewAccountsAreShownAgainAtATime(t *testing.T) {
	k := edgeKit(t, func(d *Deps) { d.Acts.ACMEDNS = servers{} })
	const path = "/acme-dns-server/1/ensure-domains-results.json?acme-dns-server-accounts="
	for ids, result := range map[string]string{strings.Repeat("7,", 100): "success", strings.Repeat("7,", 101): "error"} {
		if _, got := k.older(certfleet.ScopeRead, "GET", path+ids, nil); got["result"] != result {
			t.Errorf("of %d: %v", len(ids)/2, got)
		}
	}
}

// counted are acme-dns servers that count how often they are looked up, as every page
// of their accounts does.
type counted struct {
	servers
	n *atomic.Int32
}

func (c counted) Servers() []api.ACMEDNSServer {
	c.n.Add(1)
	return c.servers.Servers()
}

// TestAnAccountAtAnACMEDNSServerIsFoundWithoutAWalk has more accounts than a page.
func TestAnAccountAtAnACMEDNSServerIsFoundWithoutAWalk(t *testing.T) {
	var n atomic.Int32
	k := edgeKit(t, func(d *Deps) { d.Acts.ACMEDNS = counted{n: &n} })
	must(t, k.db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
		for i := range 1500 {
			name, err := certfleet.ParseName(fmt.Sprintf("n%04d.example.com", i))
			if err != nil {
				return err
			}
			if err := tx.PutACMEDNS(t.Context(), store.ACMEDNS{Solver: "dns", Name: name, FullDomain: "x.auth.test", Sealed: []byte{1}}); err != nil {
				return err
			}
		}
		return nil
	}))
	const last = "n1499.example.com"
	id := fmt.Sprint(compat.DelegationID("dns " + last))
	for _, c := range []struct{ path, at string }{
		{"/acme-dns-server-account/" + id + ".json", "AcmeDnsServerAccount.Domain.domain_name"},
		{"/acme-dns-server-account/" + strings.ToUpper(last) + ".json", "AcmeDnsServerAccount.Domain.domain_name"},
		{"/acme-dns-server/1/ensure-domains-results.json?acme-dns-server-accounts=" + id, "result_matrix"},
		{"/domain/" + last + "/acme-dns-server-accounts.json", "AcmeDnsServerAccounts"},
	} {
		n.Store(0)
		status, got := k.older(certfleet.ScopeRead, "GET", c.path, nil)
		if status != 200 || !strings.Contains(fmt.Sprint(dig(got, c.at)), last) {
			t.Errorf("%s: %d %v", c.path, status, got)
		}
		if n.Load() != 1 {
			t.Errorf("%s: the servers are looked up %d times, want once", c.path, n.Load())
		}
	}
	for _, path := range []string{"/acme-dns-server-account/7.json", "/acme-dns-server-account/none.example.com.json", "/acme-dns-server-account/a_b.json"} {
		if status, got := k.older(certfleet.ScopeRead, "GET", path, nil); status != 404 {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
}

// TestOrdersAreAskedAboutWithinOneTime has each question end when all of them do.
func TestOrdersAreAskedAboutWithinOneTime(t *testing.T) {
	var mu sync.Mutex
	var ends []time.Time
	k := edgeKit(t, func(d *Deps) {
		d.Acts.SyncOrder = func(ctx context.Context, _ int64) error {
			mu.Lock()
			defer mu.Unlock()
			end, _ := ctx.Deadline()
			ends = append(ends, end)
			return nil
		}
	})
	k.hold(90*day, "shop.example.com")
	k.hold(90*day, "blog.example.com")
	k.ok("POST", "/v1/accounts", `{"authority":"test-ca","later":true}`)
	must(t, k.db.Tx(t.Context(), time.Now(), func(tx *store.Tx) error {
		for _, label := range []string{"shop.example.com", "blog.example.com"} {
			c, err := tx.CertificateByLabel(t.Context(), certfleet.DefaultTenant, label)
			if err != nil {
				return err
			}
			if err := tx.AddOrder(t.Context(), &certfleet.Order{CertificateID: c.ID, AccountID: 1, AuthorityID: 1, Names: c.Names}); err != nil {
				return err
			}
		}
		return nil
	}))
	_, got := k.older(certfleet.ScopeIssue, "POST", "/acme-orders/active/acme-server/sync.json", nil)
	if len(ends) != 2 || !ends[0].Equal(ends[1]) || ends[0].IsZero() {
		t.Errorf("the questions end at %v: %v", ends, got)
	}
}
