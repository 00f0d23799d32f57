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

// TestAListOfSettingsBecomesWhatIsDeclared removes what a list does not name, and
// only where there is a list.
func TestAListOfSettingsBecomesWhatIsDeclared(t *testing.T) {
	k := newKit(t)
	override := func(limit string) api.LimitOverride {
		return api.LimitOverride{Authority: "ca", Limit: limit, Count: 100, Period: "1h"}
	}
	apply := func(what string, f api.Fleet, dry bool, want string) {
		t.Helper()
		a, err := k.ApplyFleet(t.Context(), f, dry)
		k.must(err)
		if got := changes(a); got != want {
			t.Errorf("%s: it says %q, want %q", what, got, want)
		}
	}
	both := api.Fleet{LimitOverrides: []api.LimitOverride{override("new-orders"), override("certificates-per-set")}, Blocklist: []api.Blocked{{Kind: "name", Pattern: "A.example"}, {Kind: "suffix", Pattern: "*.b.example"}}}
	apply("two of each", both, false, "create override ca new-orders; create override ca certificates-per-set; create blocked name a.example; create blocked suffix b.example")
	apply("the same", both, false, "")
	apply("nothing said", api.Fleet{}, false, "")
	one := api.Fleet{LimitOverrides: both.LimitOverrides[:1], Blocklist: both.Blocklist[1:]}
	const less = "remove override ca certificates-per-set; remove blocked name a.example"
	apply("a dry run of one of each", one, true, less)
	apply("one of each", one, false, less)
	apply("one of each again", one, false, "")
	apply("empty lists", api.Fleet{LimitOverrides: []api.LimitOverride{}, Blocklist: []api.Blocked{}}, false, "remove override ca new-orders; remove blocked suffix b.example")
	if list, err := k.db.Blocklist(t.Context(), 0); err != nil || len(list) != 0 {
		t.Errorf("blocked is %+v, %v", list, err)
	}
	if list, err := k.db.Overrides(t.Context(), 0); err != nil || len(list) != 0 {
		t.Errorf("overrides are %+v, %v", list, err)
	}
}
