package fakeca_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/trial"
)

type ctx = context.Context

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestALeanCARemembersLittle issues past what it keeps of orders, and looks at
// what each certificate more costs.
func TestALeanCARemembersLittle(t *testing.T) {
	trial.InFull(t)
	k := start(t, fakeca.Options{Lean: true, Trusting: true, Limits: []fakeca.Limit{{Name: fakeca.PerSet, Count: 5, Period: 7 * day}}})
	issue := func(from, n int) {
		for i := from; i < from+n; i++ {
			k.bare(acme.OrderRequest{Names: names(t, host(i))}, csr(t, k.acct.Key, names(t, host(i))))
		}
	}
	issue(0, 1500)
	before := heap()
	issue(1500, 1500)
	if each := (int64(heap()) - int64(before)) / 1500; each > 400 {
		t.Errorf("%d bytes for each certificate", each)
	}
	if s := k.ca.Stats(); s.Issued != 3000 {
		t.Errorf("%d issued", s.Issued)
	}
}

// bare is an order without a download.
func (k *kit) bare(req acme.OrderRequest, csrDER []byte) acme.Order {
	k.Helper()
	o := k.order(req)
	k.answer(o)
	o, err := k.client.Finalize(k.Context(), k.acct, o.Finalize, csrDER)
	if err != nil || o.Status != "valid" {
		k.Fatalf("order is %s: %v", o.Status, err)
	}
	return o
}

func benchmark(b *testing.B, o fakeca.Options) {
	o.Lean = true
	k := start(b, o)
	list := names(b, host(1))
	der := csr(b, newKey(b), list)
	for b.Loop() {
		done := k.bare(acme.OrderRequest{Names: list}, der)
		if _, err := k.client.Certificate(b.Context(), k.acct, done.Certificate); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
}

// BenchmarkIssue is a bare loop of our own client, one order at a time.
func BenchmarkIssue(b *testing.B) { benchmark(b, fakeca.Options{}) }

// BenchmarkIssueTrusting is the same without the CA checking signatures.
func BenchmarkIssueTrusting(b *testing.B) { benchmark(b, fakeca.Options{Trusting: true}) }

// BenchmarkCAAlone is the CA's own share of an order: seven requests that nobody
// signed, to a CA that does not mind.
func BenchmarkCAAlone(b *testing.B) {
	k := start(b, fakeca.Options{Lean: true, Trusting: true, Limits: fakeca.LetsEncryptStaging()[1:2]})
	list := names(b, host(1))
	der := b64.EncodeToString(csr(b, newKey(b), list))
	nonce := k.nonce()
	post := func(url, payload string) (location string, answer struct {
		Authorizations []string
		Challenges     []struct{ URL string }
		Certificate    string
	}) {
		head := fmt.Sprintf(`{"alg":"ES256","kid":%q,"nonce":%q,"url":%q}`, k.acct.URL, nonce, url)
		body := fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":"AAAA"}`, b64.EncodeToString([]byte(head)), b64.EncodeToString([]byte(payload)))
		req, _ := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/jose+json")
		a, err := k.ca.RoundTripper().RoundTrip(req)
		if err != nil || a.StatusCode > 201 {
			b.Fatal(a, err)
		}
		nonce = a.Header.Get("Replay-Nonce")
		json.NewDecoder(a.Body).Decode(&answer) // a chain is no JSON
		return a.Header.Get("Location"), answer
	}
	for b.Loop() {
		url, o := post("https://fakeca.test/order/new", `{"identifiers":[{"type":"dns","value":"www.shop-1.example"}]}`)
		_, z := post(o.Authorizations[0], "")
		post(z.Challenges[0].URL, "{}")
		post(o.Authorizations[0], "")
		post(url+"/finalize", `{"csr":"`+der+`"}`)
		_, o = post(url, "")
		post(o.Certificate, "")
		k.pass(7 * day / 30000)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certificates/s")
}
