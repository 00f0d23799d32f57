package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/api"
)

var update = flag.Bool("update", false, "write testdata/openapi.json anew")

// TestTheDescriptionOnlyGrows guards the promise of /v1: look at the difference,
// and write the file anew with -update only when nothing was taken away.
func TestTheDescriptionOnlyGrows(t *testing.T) {
	got, err := json.MarshalIndent(described(), "", "  ")
	must(t, err)
	got = append(got, '\n')
	const file = "testdata/openapi.json"
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Error("the API's description differs from testdata/openapi.json; if it only grew, run go test ./internal/web -update")
	}
}

func TestACursorFitsItsListAndFiltersAlone(t *testing.T) {
	k := newKit(t).fleet()
	for _, n := range []string{"a", "b", "c"} {
		k.ok("POST", "/v1/certificates", `{"names":["`+n+`.example.com"],"labels":{"tenant":"acme"}}`)
	}
	var p api.Page[api.Certificate]
	k.ok("GET", "/v1/certificates?limit=1&label=tenant%3Dacme", "").into(t, &p)
	for path, want := range map[string]int{
		"/v1/certificates?label=tenant%3Dacme&limit=2&cursor=": 200,
		"/v1/certificates?limit=1&cursor=":                     422,
		"/v1/certificates?label=tenant%3Dother&cursor=":        422,
		"/v1/orders?label=tenant%3Dacme&cursor=":               422,
	} {
		r := k.do(k.tokens["read"], "GET", path+p.Next, "")
		if r.status != want || want == 422 && !strings.Contains(r.problem(t).Advice, "begin again") {
			t.Errorf("%s answers %d %s", path, r.status, r.body)
		}
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	k := newKit(t)
	for path, start := range map[string]string{"/v1/openapi.json": `{`, "/v1/openapi.yaml": "components:"} {
		if r := k.do("", "GET", path, ""); r.status != 200 || !strings.HasPrefix(r.body, start) || !strings.Contains(r.body, "3.1.0") {
			t.Errorf("%s: %d %.80s", path, r.status, r.body)
		}
	}
}

func TestTheDocumentationNeedsNobodyElse(t *testing.T) {
	k := newKit(t)
	r := k.do("", "GET", "/docs", "")
	if r.status != 200 || !strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %v", r.status, r.header)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(r.body, -1) {
		if u := m[1]; !strings.HasPrefix(u, "/") && !strings.HasPrefix(u, "#") {
			t.Errorf("the page points to %s", u)
		}
	}
	for _, word := range []string{"<script", "style=", "onclick", "http:", "https:"} {
		if i := strings.Index(r.body, word); i >= 0 && !strings.Contains(r.body[max(0, i-20):i+60], "<td>") {
			t.Errorf("the page holds %q: %s", word, r.body[max(0, i-40):i+60])
		}
	}
	for _, op := range operations(described()) {
		if !strings.Contains(r.body, `id="`+op.OperationID+`"`) {
			t.Errorf("the page lacks %s", op.OperationID)
		}
	}
}

func TestHealthIsOpenAndSaysNothingElse(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	if r := k.do("", "GET", "/healthz", ""); r.status != 200 || r.body != "ok\n" {
		t.Errorf("healthz: %d %s", r.status, r.body)
	}
	var h api.Health
	asked := time.Now()
	k.do("", "GET", "/readyz", "").into(t, &h)
	if !h.Ready || len(h.Checks) != 2 {
		t.Errorf("readyz: %+v", h)
	}
	k.db.Close()
	if r := k.do("", "GET", "/readyz", ""); r.status != 200 && time.Since(asked) < readyAge {
		t.Errorf("readyz asked twice in a second looks twice: %d", r.status)
	}
	time.Sleep(readyAge + 50*time.Millisecond)
	r := k.do("", "GET", "/readyz", "")
	if p := r.problem(t); r.status != 503 || len(p.Errors) == 0 {
		t.Errorf("readyz without a database: %d %s", r.status, r.body)
	}
}

func TestMetricsHaveNoNames(t *testing.T) {
	k := newKit(t, func(d *Deps) {
		d.Acts.Running = func() []api.RunningJob { return []api.RunningJob{{Kind: "orders", ID: 1}} }
		d.Acts.Waiting = func() map[string]int { return map[string]int{"deliveries": 7} }
	}).fleet()
	k.ok("POST", "/v1/certificates", `{"names":["shop.example.com"],"labels":{"tenant":"acme"},"targets":["edge"]}`)
	r := k.do("", "GET", "/metrics", "")
	for _, want := range []string{`certfleet_certificates{state="active"} 1`, "certfleet_up 1", "certfleet_certificates_due 1", `certfleet_jobs_running{kind="orders"} 1`, `certfleet_jobs_waiting{kind="deliveries"} 7`, "certfleet_delivery_oldest_seconds 0", "go_goroutines"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for _, secret := range []string{"shop", "example", "acme", "edge", "test-ca", "cf_", "admin"} {
		if strings.Contains(r.body, secret) {
			t.Errorf("metrics hold %q", secret)
		}
	}
}

func TestOnlyWordsBecomeLabelValues(t *testing.T) {
	for in, want := range map[string]string{"rateLimited": "rateLimited", "": "other", "shop.example.com": "other", strings.Repeat("a", 41): "other", "a b": "other"} {
		if got := word(in); got != want {
			t.Errorf("word(%q) = %q", in, got)
		}
	}
}
