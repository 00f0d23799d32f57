package web

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func TestWhatCertbotRenewsIsTakenOverAndNeverOrderedUntilItIsResumed(t *testing.T) {
	k := newKit(t).fleet()
	var got api.Imported
	take := func(i api.Import) api.CertificateAnswer {
		t.Helper()
		i.Label, i.External = "shop", "certbot"
		got = api.Imported{}
		k.ok("POST", "/v1/import", body(t, i)).into(t, &got)
		return got.Certificate
	}
	chain, key := pair(t, 90*24*time.Hour, "shop.example.com")
	first := take(api.Import{ChainPEM: chain, KeyPEM: key, Targets: []string{"edge"}})
	if first.External != "certbot" || first.State != "paused" || time.Since(first.ExternalAt) > time.Minute || !first.DueAt.IsZero() {
		t.Errorf("taken over: %+v", first)
	}
	chain2, key2 := pair(t, 80*24*time.Hour, "shop.example.com")
	next := take(api.Import{ChainPEM: chain2, KeyPEM: key2, Targets: []string{"edge"}})
	if next.ID != first.ID || next.VersionID == first.VersionID || !next.ExternalAt.After(first.ExternalAt) || next.External != "certbot" {
		t.Errorf("the next one: %+v", next)
	}
	if all := k.ok("GET", "/v1/deliveries?state=due", "").body; strings.Count(all, `"target":"edge"`) != 1 {
		t.Errorf("not exactly the newest is due: %s", all)
	}

	var why api.Why
	k.ok("GET", "/v1/why/shop.example.com", "").into(t, &why)
	told := strings.Join(why.Sentences, " ")
	for _, want := range []string{"which certbot renews", "last taken over at " + next.ExternalAt.Format(time.RFC3339)} {
		if !strings.Contains(told, want) {
			t.Errorf("why says no %q: %s", want, told)
		}
	}
	if why.Verdict == "paused" {
		t.Errorf("the verdict is %s, as if nobody renewed it", why.Verdict)
	}
	if list := k.ok("GET", "/v1/certificates?state=external", "").body; !strings.Contains(list, `"label":"shop"`) {
		t.Errorf("external ones: %s", list)
	}
	if r := k.do(k.tokens[certfleet.ScopeAdmin], "POST", "/v1/certificates/shop/renew", "{}"); r.status != 409 || !strings.Contains(r.problem(t).Advice, "resume") {
		t.Errorf("a renewal here too: %d %s", r.status, r.body)
	}

	var ours api.CertificateAnswer
	k.ok("POST", "/v1/certificates/shop/resume", "").into(t, &ours)
	if ours.External != "" || ours.State != "active" || ours.DueAt.IsZero() {
		t.Errorf("resumed: %+v", ours)
	}
	chain3, key3 := pair(t, 70*24*time.Hour, "shop.example.com")
	r := k.do(k.tokens[certfleet.ScopeAdmin], "POST", "/v1/import", body(t, api.Import{Label: "shop", ChainPEM: chain3, KeyPEM: key3, External: "certbot"}))
	if r.status != 409 || !strings.Contains(r.body, "ours stays") || !strings.Contains(r.problem(t).Advice, "certfleet pause shop") {
		t.Errorf("what certbot renewed of ours: %d %s", r.status, r.body)
	}
	if is := k.ok("GET", "/v1/certificates/shop", "").body; !strings.Contains(is, fmt.Sprintf(`"version_id":%d`, next.VersionID)) {
		t.Errorf("certbot's took the place of ours: %s", is)
	}
	if again := take(api.Import{ChainPEM: chain2, KeyPEM: key2}); again.External != "" || again.State != "active" {
		t.Errorf("what is ours was given away by an import: %+v", again)
	}
	k.ok("POST", "/v1/certificates/shop/pause", "")
	if paused := take(api.Import{ChainPEM: chain2, KeyPEM: key2}); paused.External != "certbot" || !got.Known {
		t.Errorf("a paused one that certbot renews: %+v", paused)
	}
	if ours := take(api.Import{ChainPEM: chain2, KeyPEM: key2, Manage: true}); ours.External != "" || ours.State != "active" {
		t.Errorf("with manage: %+v", ours)
	}
}

func TestWhatCertbotForgotIsToldOf(t *testing.T) {
	k := newKit(t).fleet()
	chain, key := pair(t, time.Minute, "shop.example.com")
	k.ok("POST", "/v1/import", body(t, api.Import{ChainPEM: chain, KeyPEM: key, External: "certbot"}))
	k.change(func(ctx context.Context, tx *store.Tx) error {
		c, err := tx.CertificateByLabel(ctx, 0, "shop.example.com")
		if err != nil {
			return err
		}
		c.UrgentAt = time.Now().Add(-time.Second)
		return tx.SaveCertificate(ctx, c)
	})
	var why api.Why
	k.ok("GET", "/v1/why/shop.example.com", "").into(t, &why)
	if !strings.Contains(why.Problem, "certbot has not renewed it") || why.Advice == "" {
		t.Errorf("problem %q, advice %q", why.Problem, why.Advice)
	}
}

// TestCertificatesThatOthersRenewCountWhenTheyExpire has one that certbot forgot, and
// one that was only brought along and is nobody's to renew.
func TestCertificatesThatOthersRenewCountWhenTheyExpire(t *testing.T) {
	k := newKit(t).fleet()
	for label, i := range map[string]api.Import{"forgotten.example.com": {External: "certbot"}, "soon.example.com": {External: "certbot"}, "paused.example.com": {}} {
		i.ChainPEM, i.KeyPEM = pair(t, time.Hour, label)
		if label == "forgotten.example.com" {
			i.ChainPEM, i.KeyPEM = pair(t, -time.Minute, label)
			i.Force = true
		}
		k.ok("POST", "/v1/import", body(t, i))
	}
	said := k.do("", "GET", "/metrics", "").body
	for _, want := range []string{"certfleet_certificates_expiring 2", "certfleet_certificates_expired 1"} {
		if !strings.Contains(said, want+"\n") {
			t.Errorf("metrics do not say %q", want)
		}
	}
}
