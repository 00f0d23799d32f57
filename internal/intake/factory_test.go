package intake

import (
	"context"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

func (k *kit) factory(s api.FactorySpec) *certfleet.Factory {
	k.t.Helper()
	f, err := k.PutFactory(k.t.Context(), api.Factory{Label: "hosting", FactorySpec: s}, Ensure)
	k.must(err)
	return f
}

// proofs are how a domain is proved, first and second.
func (k *kit) proofs(name string) string {
	k.t.Helper()
	n, err := certfleet.ParseName(name)
	k.must(err)
	d, err := k.db.Domain(k.t.Context(), 0, n)
	k.must(err)
	s, err := k.db.SecondProof(k.t.Context(), d.ID)
	k.must(err)
	return strings.Join([]string{string(d.Challenge), d.Solver, string(s.Challenge), s.Solver}, "|")
}

func TestAFactoryTakesInADomainOnce(t *testing.T) {
	k := newKit(t)
	f := k.factory(api.FactorySpec{HTTP01: []string{"{DOMAIN}", "www.{DOMAIN}"}, DNS01: []string{"{DOMAIN}", "*.{DOMAIN}"}, Solver: "office", Targets: []string{"edge"}, Duplicates: "http_01__dns_01",
		CertificateLabels: map[string]string{"tenant": "acme"}})
	dry, err := k.Onboard(t.Context(), f, "Shop.Example", Onboarding{DryRun: true})
	k.must(err)
	if !dry.Result.Created || dry.Label != "example.shop" {
		t.Errorf("a dry run says %+v", dry)
	}
	if e, err := k.Enrolled(t.Context(), f, "shop.example"); err != nil || e.Result != nil || e.Policy != "default" {
		t.Errorf("after a dry run: %+v, %v", e, err)
	}
	e, err := k.Onboard(t.Context(), f, "shop.example", Onboarding{Note: "ticket 4711"})
	k.must(err)
	c := e.Result.Certificate
	if got := strings.Join(certfleet.Strings(c.Names), " "); got != "shop.example www.shop.example *.shop.example" || c.Label != "example.shop" || c.Policy != "default" || c.DueAt.IsZero() {
		t.Errorf("the certificate is %+v", c)
	}
	if c.Labels["factory"] != "hosting" || c.Labels["tenant"] != "acme" || strings.Join(c.Targets, " ") != "edge" {
		t.Errorf("labels %v, targets %v", c.Labels, c.Targets)
	}
	for name, want := range map[string]string{"shop.example": "http-01||dns-01|office", "www.shop.example": "http-01|||", "*.shop.example": "dns-01|office||"} {
		if got := k.proofs(name); got != want {
			t.Errorf("%s is proved by %s, want %s", name, got, want)
		}
	}
	again, err := k.Onboard(t.Context(), f, "shop.example", Onboarding{})
	k.must(err)
	if again.Result.Created || again.Result.Changed || again.Result.Certificate.ID != c.ID {
		t.Errorf("asked again: %+v", again.Result)
	}
	f.Spec.Duplicates = certfleet.DNS01ThenHTTP
	if _, err := k.Onboard(t.Context(), f, "shop.example", Onboarding{}); certfleet.KindOf(err) != certfleet.Conflict || !strings.Contains(err.Error(), "challenge") {
		t.Errorf("with another strategy: %v; want a conflict that names the challenge", err)
	}
	_, err = k.Onboard(t.Context(), f, "shop.example", Onboarding{Update: true})
	k.must(err)
	if got := k.proofs("shop.example"); got != "dns-01|office|http-01|" {
		t.Errorf("after the update it is proved by %s", got)
	}
}

func TestAFactoryFollowsItsPolicyOrTheGlobalDefault(t *testing.T) {
	k := newKit(t)
	f := k.factory(api.FactorySpec{HTTP01: []string{"{DOMAIN}"}, Policy: "system_configuration_default"})
	policy := func() string {
		t.Helper()
		e, err := k.Enrolled(t.Context(), f, "a.example")
		k.must(err)
		return e.Policy
	}
	if got := policy(); got != "default" {
		t.Errorf("without a global default it is %q", got)
	}
	p, err := k.PutPolicy(t.Context(), api.Policy{Label: "ours", PolicySpec: api.PolicySpec{Authorities: []string{"ca"}}}, Create)
	k.must(err)
	k.change(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetDefaultPolicy(ctx, 0, certfleet.PurposeGlobal, p.ID)
	})
	if got := policy(); got != "ours" {
		t.Errorf("with a global default it is %q", got)
	}
	f = k.factory(api.FactorySpec{HTTP01: []string{"{DOMAIN}"}, PolicyParts: &api.PolicySpec{Authorities: []string{"ca"}, KeyType: "rsa2048"}})
	if got := policy(); got != "factory-hosting" {
		t.Errorf("with parts of its own it is %q", got)
	}
	own, err := k.db.PolicyByLabel(t.Context(), 0, "factory-hosting")
	k.must(err)
	if own.Spec.KeyType != certfleet.RSA2048 {
		t.Errorf("the parts became %+v", own.Spec)
	}
}

func TestAFactoryThatCannotWorkIsRefused(t *testing.T) {
	k := newKit(t)
	one := []string{"{DOMAIN}"}
	for what, s := range map[string]api.FactorySpec{
		"no template": {}, "a policy that is not there": {HTTP01: one, Policy: "none"}, "a target that is not there": {HTTP01: one, Targets: []string{"none"}},
		"a solver for nothing": {HTTP01: one, Solver: "office"}, "a strategy nobody knows": {HTTP01: one, Duplicates: "both"}, "a name under both": {HTTP01: one, DNS01: one},
		"a policy and parts": {HTTP01: one, Policy: "default", PolicyParts: &api.PolicySpec{Authorities: []string{"ca"}}},
	} {
		_, err := k.PutFactory(t.Context(), api.Factory{Label: "hosting", FactorySpec: s}, Create)
		if certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v (advice %q); want a refusal with advice", what, err, certfleet.AdviceOf(err))
		}
	}
	if list, err := k.db.Factories(t.Context(), 0); err != nil || len(list) != 0 {
		t.Errorf("there are %+v, %v", list, err)
	}
}
