package web

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/edge"
	"github.com/certfleet/certfleet/internal/trial"
	"github.com/certfleet/certfleet/internal/web/compat"
)

const day = 24 * time.Hour

// edgeKit is a kit that answers edges under all prefixes.
func edgeKit(t *testing.T, change ...func(*Deps)) *kit {
	t.Helper()
	k := newKit(t, append([]func(*Deps){func(d *Deps) {
		d.Edge = EdgeDeps{Room: &edge.Room{DB: d.DB, Keys: d.Keys}, Prefixes: []string{compat.Prefix, compat.OldPrefix, "/"}}
	}}, change...)...).fleet()
	return k
}

// hold imports a certificate for names and answers its chain and key.
func (k *kit) hold(life time.Duration, names ...string) (chain, key string) {
	k.t.Helper()
	chain, key = pair(k.t, life, names...)
	k.ok("POST", "/v1/import", body(k.t, api.Import{ChainPEM: chain, KeyPEM: key, Targets: []string{"edge"}}))
	return chain, key
}

// asks sends a request as an edge does, and answers status and body.
func (k *kit) asks(method, path, token, form string) (int, string) {
	k.t.Helper()
	var in io.Reader
	if form != "" {
		in = strings.NewReader(form)
	}
	req, err := http.NewRequestWithContext(k.t.Context(), method, k.url+path, in)
	must(k.t, err)
	if token != "" {
		req.SetBasicAuth("edge", token)
	}
	res, err := http.DefaultClient.Do(req)
	must(k.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(k.t, err)
	return res.StatusCode, string(b)
}

func TestALookupHasTheKeysOfEveryRelease(t *testing.T) {
	k := edgeKit(t)
	chain, key := k.hold(90*day, "shop.example.com")
	k.hold(90*day, "a.example.org", "b.example.org")
	for _, c := range []struct{ path, kind string }{
		{compat.Prefix + "/domain/shop.example.com", "single"}, {compat.OldPrefix + "/domain/SHOP.example.com", "single"},
		{"/domain/shop.example.com", "single"}, {"/domain/1", "single"}, {"/domain/b.example.org", "multi"},
	} {
		status, got := k.asks("GET", c.path+"/config.json?openresty=1", k.tokens[certfleet.ScopeEdge], "")
		var answer map[string]json.RawMessage
		if status != http.StatusOK || json.Unmarshal([]byte(got), &answer) != nil {
			t.Fatalf("%s: %d %s", c.path, status, got)
		}
		other := map[string]string{"single": "multi", "multi": "single"}[c.kind]
		for _, generation := range []string{"x509_certificate", "certificate_signed", "server_certificate"} {
			var p struct {
				ID        string
				Key       struct{ ID, PEM string } `json:"private_key"`
				Fullchain struct{ ID, PEM string }
			}
			must(t, json.Unmarshal(answer[generation+"__latest_"+c.kind], &p))
			if string(answer[generation+"__latest_"+other]) != "null" || p.ID == "" || !strings.HasPrefix(p.Fullchain.ID, p.ID+",") {
				t.Errorf("%s %s: %+v", c.path, generation, p)
			}
			if c.kind == "single" && (p.Key.PEM != key || p.Fullchain.PEM != chain) {
				t.Errorf("%s: another pair than was imported", c.path)
			}
		}
	}
	if _, got := k.asks("GET", "/domain/shop.example.com/config.json?id_only=1", k.tokens[certfleet.ScopeEdge], ""); strings.Contains(got, "BEGIN") {
		t.Errorf("id_only has PEM: %s", got)
	}
}

func TestAnUnknownNameIs404WithAMessage(t *testing.T) {
	k := edgeKit(t)
	for _, name := range []string{"nobody.example.com", "99", "..%2f..%2fv1%2ftokens", "x%0d%0aHost:%20y"} {
		status, got := k.asks("GET", compat.Prefix+"/domain/"+name+"/config.json", k.tokens[certfleet.ScopeEdge], "")
		var answer struct{ Message string }
		if json.Unmarshal([]byte(got), &answer) != nil || status != http.StatusNotFound || answer.Message == "" {
			t.Errorf("%s: %d %s", name, status, got)
		}
	}
}

func TestNoPairLeavesWithoutScopeEdge(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	for _, path := range []string{compat.Prefix + "/domain/shop.example.com/config.json", "/v1/edge/names/shop.example.com"} {
		for scope, token := range k.tokens {
			status, got := k.asks("GET", path, "", "")
			if status != http.StatusUnauthorized {
				t.Errorf("%s without a token: %d", path, status)
			}
			req, _ := http.NewRequestWithContext(t.Context(), "GET", k.url+path, nil)
			req.Header.Set("Authorization", "Bearer "+token)
			res, err := http.DefaultClient.Do(req)
			must(t, err)
			res.Body.Close()
			if want := scope == certfleet.ScopeEdge; (res.StatusCode == http.StatusOK) != want || strings.Contains(got, "PRIVATE") {
				t.Errorf("%s with scope %s: %d", path, scope, res.StatusCode)
			}
		}
	}
}

func TestAListedNetworkNeedsNoTokenButAProxyDoes(t *testing.T) {
	k := edgeKit(t, func(d *Deps) { d.Edge.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	k.hold(90*day, "shop.example.com")
	for _, path := range []string{compat.Prefix + "/domain/shop.example.com/config.json", "/v1/edge/names/shop.example.com"} {
		if status, got := k.asks("GET", path, "", ""); status != http.StatusOK {
			t.Errorf("%s from a listed network: %d %s", path, status, got)
		}
		for what, lines := range map[string][]string{
			"X-Forwarded-For": {"203.0.113.9"}, "x-forwarded-for": {"", "203.0.113.9"}, // as HAProxy adds its own line to a stranger's empty one
			"Forwarded": {"for=203.0.113.9"}, "X-Real-IP": {"203.0.113.9"}, "Via": {"1.1 proxy"},
		} {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", k.url+path, nil)
			for _, line := range lines {
				req.Header.Add(what, line)
			}
			res, err := http.DefaultClient.Do(req)
			must(t, err)
			res.Body.Close()
			if res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s through a proxy that sends %s %q: %d", path, what, lines, res.StatusCode)
			}
		}
	}
	if status, _ := k.asks("GET", "/v1/certificates", "", ""); status != http.StatusUnauthorized {
		t.Errorf("the rest of the API is open to the network: %d", status)
	}
}

func TestTheNativeLookupIsConditionalByGeneration(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	get := func(have string) (int, string, []api.EdgePair) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", k.url+"/v1/edge/names/shop.example.com", nil)
		req.Header.Set("Authorization", "Bearer "+k.tokens[certfleet.ScopeEdge])
		req.Header.Set("If-None-Match", have)
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		pairs, err := api.ParseEdgePairs(b)
		must(t, err)
		return res.StatusCode, res.Header.Get("ETag"), pairs
	}
	status, tag, pairs := get("")
	if status != http.StatusOK || len(pairs) != 1 || pairs[0].State != api.EdgeFound || len(pairs[0].Chain) == 0 || len(pairs[0].Key) == 0 {
		t.Fatalf("%d %+v", status, pairs)
	}
	if status, _, _ = get(tag); status != http.StatusNotModified {
		t.Errorf("with the same generation: %d", status)
	}
	questions := api.EdgeQuestions{Names: []api.EdgeQuestion{{Name: "Shop.Example.com"}, {Name: "shop.example.com", Generation: pairs[0].Generation}, {Name: "nobody.example.com"}, {Name: "a b"}}}
	_, got := k.asksWithBearer("POST", "/v1/edge/lookup", k.tokens[certfleet.ScopeEdge], body(t, questions))
	batch, err := api.ParseEdgePairs([]byte(got))
	must(t, err)
	for i, want := range []api.EdgeState{api.EdgeFound, api.EdgeUnchanged, api.EdgeNone, api.EdgeNone} {
		if batch[i].State != want || batch[i].Name != questions.Names[i].Name {
			t.Errorf("%q: state %d, want %d", batch[i].Name, batch[i].State, want)
		}
	}
}

func (k *kit) asksWithBearer(method, path, token, text string) (int, string) {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.t.Context(), method, k.url+path, strings.NewReader(text))
	must(k.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	must(k.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(k.t, err)
	return res.StatusCode, string(b)
}

func TestAPostWithoutAContentTypeIsAForm(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	const path = compat.Prefix + "/api/domain/autocert.json"
	status, got := k.asks("POST", path+"?openresty=1", k.tokens[certfleet.ScopeEdge], "domain_name=shop.example.com")
	if status != http.StatusOK || !strings.Contains(got, `"notes":"existing certificate(s)"`) || !strings.Contains(got, `"result":"success"`) {
		t.Errorf("%d %s", status, got)
	}
	status, got = k.asks("POST", path, k.tokens[certfleet.ScopeEdge], "domain_name=other.example.com")
	if status != http.StatusOK || !strings.Contains(got, `"form_errors"`) || !strings.Contains(got, "not configured") {
		t.Errorf("without on-demand orders: %d %s", status, got)
	}
	status, got = k.asks("POST", path, k.tokens[certfleet.ScopeEdge], "x=y")
	if status != http.StatusOK || !strings.Contains(got, `"domain_name":"Missing value"`) {
		t.Errorf("without a name: %d %s", status, got)
	}
	if status, got = k.asks("GET", path, k.tokens[certfleet.ScopeEdge], ""); status != http.StatusOK || !strings.Contains(got, "form_fields") {
		t.Errorf("GET of a POST: %d %s", status, got)
	}
}

func TestFilesHaveTheirMediaTypes(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	for file, want := range map[string]string{
		"cert.pem": "application/x-pem-file", "cert.pem.txt": "text/plain; charset=utf-8", "cert.cer": "application/pkix-cert", "cert.crt": "application/x-x509-server-cert",
		"chain.pem": "application/x-pem-file", "fullchain.pem": "application/x-pem-file", "privkey.key": "application/pkcs8", "privkey.pem": "application/x-pem-file",
		"config.json": "application/json", "config.zip": "application/zip",
	} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", k.url+compat.Prefix+"/x509-certificate/1/"+file, nil)
		req.Header.Set("Authorization", "Bearer "+k.tokens[certfleet.ScopeEdge])
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != want || len(b) < 50 {
			t.Errorf("%s: %d %s, %d bytes", file, res.StatusCode, res.Header.Get("Content-Type"), len(b))
		}
	}
	for _, file := range []string{"cert.exe", "other.pem", "privkey.der"} {
		if status, _ := k.asks("GET", compat.Prefix+"/x509-certificate/1/"+file, k.tokens[certfleet.ScopeEdge], ""); status != http.StatusNotFound {
			t.Errorf("%s: %d", file, status)
		}
	}
	if status, _ := k.asks("GET", compat.Prefix+"/x509-certificate/1/privkey.pem", k.tokens[certfleet.ScopeRead], ""); status != http.StatusForbidden {
		t.Errorf("a key with scope read: %d", status)
	}
}

func TestEveryPairThatLeavesIsOnRecord(t *testing.T) {
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	for range 3 {
		k.asks("GET", "/domain/shop.example.com/config.json", k.tokens[certfleet.ScopeEdge], "")
	}
	var got []api.EdgeLookup
	k.ok("GET", "/v1/versions/1/lookups", "").into(t, &got)
	if len(got) != 1 || got[0].Edge != "token:edge" || got[0].Count != 1 {
		t.Errorf("on record at once: %+v", got)
	}
}

func TestARevokedTokenLooksNothingUpForLong(t *testing.T) {
	t.Parallel()
	k := edgeKit(t)
	k.hold(90*day, "shop.example.com")
	looks := func() int {
		status, _ := k.asksWithBearer("GET", "/v1/edge/names/shop.example.com", k.tokens[certfleet.ScopeEdge], "")
		return status
	}
	if got := looks(); got != http.StatusOK {
		t.Fatalf("a new token is answered %d", got)
	}
	k.ok("DELETE", "/v1/tokens/edge", "")
	trial.Until(t, "the revoked token is turned away", func() (bool, string) {
		status := looks()
		return status == http.StatusUnauthorized, fmt.Sprint(status)
	})
}
