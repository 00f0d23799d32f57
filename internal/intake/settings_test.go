package intake

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// changes are what a declaration changed, on one line.
func changes(a *api.Applied) string {
	var out []string
	for _, c := range a.Changes {
		out = append(out, c.Action+" "+c.Kind+" "+c.Label)
	}
	return strings.Join(out, "; ")
}

func TestADeclarationHasSettingsToo(t *testing.T) {
	k := newKit(t)
	f := api.Fleet{
		Policies:       []api.Policy{{Label: "short", PolicySpec: api.PolicySpec{Authorities: []string{"ca"}, KeyCycle: "account_default"}}},
		LimitOverrides: []api.LimitOverride{{Authority: "ca", Limit: "new-orders", Count: 100, Period: "1h"}},
		Defaults:       []api.DefaultPolicy{{Purpose: "autocert", Policy: "short"}},
		Factories:      []api.Factory{{Label: "hosting", FactorySpec: api.FactorySpec{Policy: "short", HTTP01: []string{"{DOMAIN}"}}}},
		Blocklist:      []api.Blocked{{Kind: "suffix", Pattern: "corp.example.org"}},
		Accounts:       []api.FleetAccount{{Authority: "ca", Defaults: &api.AccountDefaults{KeyCycle: "account_weekly", KeyType: "rsa2048"}}},
	}
	const all = "update account ca; create override ca new-orders; create policy short; update default autocert; create factory hosting; create blocked suffix corp.example.org"
	apply := func(dry bool, want string) {
		t.Helper()
		a, err := k.ApplyFleet(t.Context(), f, dry)
		k.must(err)
		if got := changes(a); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	apply(true, all)
	apply(true, all) // a dry run changes nothing
	apply(false, all)
	apply(false, "")
	if a, err := k.ApplyFleet(t.Context(), f, false); err != nil || a.Same != 6 {
		t.Errorf("the same again: %+v, %v", a, err)
	}
	f.LimitOverrides[0].Count, f.Defaults[0].Policy, f.Factories[0].Note, f.Blocklist[0].Note, f.Accounts[0].Defaults.KeyType = 200, "", "for all", "legal", ""
	apply(false, "update account ca; update override ca new-orders; update default autocert; update factory hosting; update blocked suffix corp.example.org")
	acct, err := k.db.AccountByLabel(t.Context(), 0, "ca")
	k.must(err)
	if d, err := k.db.AccountDefaults(t.Context(), acct.ID); err != nil || d != (certfleet.AccountDefaults{KeyCycle: certfleet.KeyAccountWeekly}) {
		t.Errorf("the account says %+v, %v", d, err)
	}
	if all, err := k.db.Overrides(t.Context(), 0); err != nil || len(all) != 1 || all[0].N != 200 {
		t.Errorf("overrides %+v, %v", all, err)
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	k := newKit(t)
	for what, f := range map[string]api.Fleet{
		"a policy that is not there":                        {Defaults: []api.DefaultPolicy{{Purpose: "global", Policy: "none"}}},
		"a purpose that nobody knows":                       {Defaults: []api.DefaultPolicy{{Purpose: "all", Policy: "default"}}},
		"an override of nobody":                             {LimitOverrides: []api.LimitOverride{{Authority: "none", Limit: "new-orders", Count: 1, Period: "1h"}}},
		"an override without a period":                      {LimitOverrides: []api.LimitOverride{{Authority: "ca", Limit: "new-orders", Count: 1}}},
		"an override for an account that is not registered": {LimitOverrides: []api.LimitOverride{{Authority: "ca", Account: "ca", Limit: "new-orders", Count: 1, Period: "1h"}}},
		"a cycle that goes round":                           {Accounts: []api.FleetAccount{{Authority: "ca", Defaults: &api.AccountDefaults{KeyCycle: "account_default"}}}},
		"a profile that goes round":                         {Accounts: []api.FleetAccount{{Authority: "ca", Defaults: &api.AccountDefaults{Profile: "@"}}}},
		"a pattern that is no domain":                       {Blocklist: []api.Blocked{{Kind: "domain", Pattern: "www.example.com"}}},
	} {
		_, err := k.ApplyFleet(t.Context(), f, false)
		if certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: %v (advice %q); want a refusal with advice", what, err, certfleet.AdviceOf(err))
		}
	}
}
