package web

import (
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/enroll"
	"github.com/certfleet/certfleet/internal/pki"
)

func withAgents(t *testing.T) func(*Deps) {
	ca, err := pki.NewCA("test", time.Now())
	must(t, err)
	return func(d *Deps) {
		d.Agents = &enroll.Room{DB: d.DB, Keys: d.Keys, Log: d.Log, Manager: "https://manager.test:7443", CA: func() (*pki.CA, error) { return ca, nil }}
	}
}

func TestAgentsOwnRoutesKnowNoToken(t *testing.T) {
	k, seen := newKit(t, withAgents(t)), 0
	for _, op := range operations(described()) {
		way := op.Metadata["way"]
		if way == nil {
			continue
		}
		seen++
		for scope, token := range k.tokens {
			r := k.do(token, op.method, fill(op.path), `{"secret":"cf_x","request":"x","clock":"2026-01-01T00:00:00Z","round":"x"}`)
			if way == byCertificate && r.status != 401 || way == byInvitation && r.status != 422 || r.problem(t).Advice == "" {
				t.Errorf("%s %s with a token of scope %s: %d %s", op.method, op.path, scope, r.status, r.body)
			}
		}
	}
	if seen != 5 {
		t.Errorf("%d routes of agents' own; want 5", seen)
	}
}

func TestInvitationsAreForAdminsAndShownOnce(t *testing.T) {
	k := newKit(t, withAgents(t))
	r := k.ok("POST", "/v1/agents", `{"label":"edge-1","ttl":"10m","labels":{"site":"berlin"}}`)
	if !strings.Contains(r.body, `"token":"cfj_`) || !strings.Contains(r.body, `"state":"invited"`) {
		t.Fatalf("invited: %s", r.body)
	}
	if r := k.do(k.tokens[certfleet.ScopeRead], "GET", "/v1/agents/edge-1", ""); r.status != 200 || strings.Contains(r.body, "cfj_") || strings.Contains(r.body, "join_hash") {
		t.Errorf("read: %d %s", r.status, r.body)
	}
	if r := k.do(k.tokens[certfleet.ScopeRead], "GET", "/v1/agents?label=site%3Dberlin", ""); !strings.Contains(r.body, "edge-1") {
		t.Errorf("list: %s", r.body)
	}
	for what, row := range map[string]struct {
		body   string
		status int
	}{
		"no label":       {`{"label":""}`, 422},
		"a slash":        {`{"label":"a/b"}`, 422},
		"too long":       {`{"label":"b","ttl":"30d"}`, 422},
		"no TLS":         {`{"label":"b","manager":"http://manager.test"}`, 422},
		"a path":         {`{"label":"b","manager":"https://manager.test/x"}`, 422},
		"target is held": {`{"label":"b","target":"edge-1"}`, 409},
	} {
		if r := k.do(k.tokens[certfleet.ScopeAdmin], "POST", "/v1/agents", row.body); r.status != row.status || r.problem(t).Advice == "" {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	if m := k.do("", "GET", "/metrics", "").body; !strings.Contains(m, `certfleet_agents{state="invited"} 1`) || !strings.Contains(m, `certfleet_agents{state="silent"} 0`) || strings.Contains(m, "edge-1") {
		t.Errorf("metrics of agents are missing, or name one")
	}
	if r := k.ok("DELETE", "/v1/agents/edge-1", ""); !strings.Contains(r.body, `"state":"revoked"`) {
		t.Errorf("revoked: %s", r.body)
	}
	k.ok("POST", "/v1/agents", `{"label":"b","target":"edge-1"}`) // the target is free again
}
