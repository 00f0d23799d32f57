package web

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

// TestAPasswordOfAnOlderReleaseIsShownToNobody has a row that no check refused.
func TestAPasswordOfAnOlderReleaseIsShownToNobody(t *testing.T) {
	k := newKit(t).fleet()
	k.ok("POST", "/v1/targets", `{"label":"cache","type":"redis","spec":{"url":"redis://edge:hunter2@192.0.2.7:6379/9","prefix":"a@b","edges":[{"url":"https://u:hunter2@edge.test"}],"odd":"redis://:hunter2@%zz/"}}`)
	for _, path := range []string{"/v1/targets", "/v1/targets/cache", "/v1/events"} {
		for scope := range k.tokens {
			got := k.do(k.tokens[scope], "GET", path, "")
			if strings.Contains(got.body, "hunter2") {
				t.Errorf("scope %s reads the password in %s: %d %s", scope, path, got.status, got.body)
			}
			if got.status == 200 && path != "/v1/events" && (!strings.Contains(got.body, "a@b") || !strings.Contains(got.body, "192.0.2.7:6379/9")) {
				t.Errorf("scope %s reads %s: %s", scope, path, got.body)
			}
		}
	}
	got := k.do(k.tokens["admin"], "PATCH", "/v1/targets/cache", `{"spec":{"url":"env:REDIS_URL"}}`)
	if got.status != 200 || strings.Contains(got.body, "hunter2") {
		t.Errorf("the change to a reference: %d %s", got.status, got.body)
	}
}

// TestAChangeOfAnotherSettingKeepsWhatIsNotShown pauses a target of an older release.
func TestAChangeOfAnotherSettingKeepsWhatIsNotShown(t *testing.T) {
	k := newKit(t).fleet()
	const spec = `{"url":"redis://edge:hunter2@192.0.2.7:6379/9"}`
	k.ok("POST", "/v1/targets", `{"label":"cache","type":"redis","spec":`+spec+`}`)
	k.ok("PATCH", "/v1/targets/cache", `{"paused":true}`)
	row, err := k.db.TargetByLabel(t.Context(), certfleet.DefaultTenant, "cache")
	must(t, err)
	if !row.Paused || string(row.Spec) != spec {
		t.Errorf("paused %v, its settings are %s, want %s", row.Paused, row.Spec, spec)
	}
}

// TestAChangeBehindAnAtSignIsAChange has two URLs that have no password in them.
func TestAChangeBehindAnAtSignIsAChange(t *testing.T) {
	k := newKit(t).fleet()
	const first, second = `{"url":"https://edge.test/a@b"}`, `{"url":"https://edge.test/c@b"}`
	k.ok("POST", "/v1/targets", `{"label":"cache","type":"redis","spec":`+first+`}`)
	k.ok("PUT", "/v1/targets/cache", `{"label":"cache","type":"redis","spec":`+second+`}`)
	row, err := k.db.TargetByLabel(t.Context(), certfleet.DefaultTenant, "cache")
	must(t, err)
	if string(row.Spec) != second {
		t.Errorf("its settings are %s, want %s", row.Spec, second)
	}
}
