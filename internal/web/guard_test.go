package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// described is the OpenAPI description of all routes.
func described() *huma.OpenAPI {
	answerProblems()
	s := &server{}
	s.api = humago.New(http.NewServeMux(), settings())
	s.routes()
	return s.api.OpenAPI()
}

// fill puts something into the parameters of a path.
func fill(path string) string {
	return strings.NewReplacer("{id}", "999", "{name}", "a.example.com").Replace(path)
}

func TestEveryRouteAsksForItsScope(t *testing.T) {
	k := newKit(t)
	ops := operations(described())
	if len(ops) < 60 {
		t.Fatalf("only %d operations", len(ops))
	}
	for _, op := range ops {
		path, want := fill(op.path), scopeOf(op.Operation)
		if op.Metadata["way"] != nil {
			continue // no token opens it; TestAgentsOwnRoutesKnowNoToken
		}
		if r := k.do("", op.method, path, ""); r.status != 401 || r.problem(t).Advice == "" || r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s without a token: %d %s", op.method, path, r.status, r.body)
		}
		for _, scope := range certfleet.Scopes {
			allowed := (&certfleet.Token{Scopes: []certfleet.Scope{scope}}).Allows(want)
			if op.OperationID == "stream-events" && allowed {
				continue // it would not end
			}
			r := k.do(k.tokens[scope], op.method, path, "")
			switch {
			case r.status == 401, allowed && r.status == 403 && strings.Contains(r.body, "scope"):
				t.Errorf("%s %s with scope %s: %d %s", op.method, path, scope, r.status, r.body)
			case !allowed && (r.status != 403 || !strings.Contains(r.problem(t).Advice, string(want))):
				t.Errorf("%s %s with scope %s, wants %s: %d %s", op.method, path, scope, want, r.status, r.body)
			case r.status == 500:
				t.Errorf("%s %s: %s\n%s", op.method, path, r.body, k.log)
			}
		}
	}
}

func TestKeysLeaveOnlyByTheirScope(t *testing.T) {
	for _, op := range operations(described()) {
		if op.Metadata["way"] != nil {
			continue
		}
		if op.OperationID == "export-version" && scopeOf(op.Operation) != certfleet.ScopeKey {
			t.Errorf("export needs %s", scopeOf(op.Operation))
		}
		if strings.HasPrefix(op.OperationID, "edge-lookup") {
			if scopeOf(op.Operation) != certfleet.ScopeEdge {
				t.Errorf("%s needs %s", op.OperationID, scopeOf(op.Operation))
			}
			continue
		}
		if op.method == "GET" && op.OperationID != "list-tokens" && scopeOf(op.Operation) != certfleet.ScopeRead {
			t.Errorf("%s needs %s", op.OperationID, scopeOf(op.Operation))
		}
		if op.method != "GET" && scopeOf(op.Operation) == certfleet.ScopeRead {
			t.Errorf("%s changes something with scope read", op.OperationID)
		}
	}
}

func TestBrokenTokensAreRefusedWithAdvice(t *testing.T) {
	k := newKit(t)
	good := k.tokens[certfleet.ScopeRead]
	for name, header := range map[string]string{
		"another":   "Bearer cf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"cut":       "Bearer " + good[:len(good)-1],
		"foreign":   "Bearer ghp_0123456789",
		"basic":     "Basic Y2Y6Y2Y=",
		"no scheme": good,
	} {
		r := k.do("", "GET", "/v1/certificates", "", "Authorization", header)
		if p := r.problem(t); r.status != 401 || p.Advice == "" || strings.Contains(r.body, header[10:]) {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	k.ok("DELETE", "/v1/tokens/read", "")
	if r := k.do(good, "GET", "/v1/certificates", ""); r.status != 401 {
		t.Errorf("a revoked token: %d", r.status)
	}
}

func TestNobodyGivesScopesTheyDoNotHave(t *testing.T) {
	k := newKit(t)
	admin := k.tokens[certfleet.ScopeAdmin]
	for scope, want := range map[string]int{"read": 200, "admin": 200, "issue": 200, "key": 403, "edge": 403, "root": 422} {
		r := k.do(admin, "POST", "/v1/tokens", `{"label":"t-`+scope+`","scopes":["`+scope+`"]}`)
		if r.status != want || want != 200 && r.problem(t).Advice == "" {
			t.Errorf("scope %s: %d %s", scope, r.status, r.body)
		}
	}
	if r := k.do(admin, "POST", "/v1/tokens", `{"label":"read","scopes":["read"]}`); r.status != 409 {
		t.Errorf("a label twice: %d %s", r.status, r.body)
	}
}

func TestTheFirstUseIsNoted(t *testing.T) {
	k := newKit(t)
	k.do(k.tokens[certfleet.ScopeRead], "GET", "/v1/certificates", "")
	if body := k.ok("GET", "/v1/tokens", "").body; !strings.Contains(body, `"used_at"`) || strings.Contains(body, "hash") {
		t.Errorf("tokens: %s", body)
	}
}

func TestTrustedNeedsNoToken(t *testing.T) {
	k := newKit(t).fleet()
	w := httptest.NewRecorder()
	Trusted(k.h, "user:root").ServeHTTP(w, httptest.NewRequest("POST", "/v1/certificates", strings.NewReader(`{"names":["a.example.com"]}`)))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if body := k.ok("GET", "/v1/events?kind=certificate.added", "").body; !strings.Contains(body, `"actor":"user:root"`) {
		t.Errorf("events: %s", body)
	}
}
