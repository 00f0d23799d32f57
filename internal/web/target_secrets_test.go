package web

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestAPasswordInATargetIsForThoseWhoMayChangeIt(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/targets", `{"label":"cache","type":"redis","spec":{"url":"redis://edge:hunter2@192.0.2.7:6379/9","prefix":"a@b","edges":[{"url":"https://u:hunter2@edge.test"}],"odd":"redis://:hunter2@%zz/"}}`)
	for _, path := range []string{"/v1/targets", "/v1/targets/cache"} {
		for scope, sees := range map[certfleet.Scope]bool{certfleet.ScopeRead: false, certfleet.ScopeIssue: false, certfleet.ScopeDeliver: false, certfleet.ScopeAdmin: true} {
			got := k.do(k.tokens[scope], "GET", path, "")
			if strings.Contains(got.body, "hunter2") != sees || got.status != 200 || !strings.Contains(got.body, "a@b") || !strings.Contains(got.body, "192.0.2.7:6379/9") {
				t.Errorf("scope %s reads %s: %d %s", scope, path, got.status, got.body)
			}
		}
	}
}
