package acmedns_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/solver/acmedns"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
	"github.com/miekg/dns"
)

var _ certfleet.Waiter = (*acmedns.Solver)(nil)

func names(t *testing.T, in ...string) []certfleet.Name {
	t.Helper()
	out, err := certfleet.ParseNames(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSuite(t *testing.T) {
	solvertest.Run(t, func(t *testing.T) solvertest.Fixture {
		s, m := newStandIn(t), newMemory()
		row := solver(t, s, m).Ensure(t.Context(), names(t, "www.example.org"))[0]
		s.dns.Add(t, row.Record+" 60 IN CNAME "+row.Target)
		again := func(t *testing.T) certfleet.Solver { return solver(t, s, m) }
		return solvertest.Fixture{
			Solver: again(t), Again: again, Values: s.dns.Values, Keeps: true,
			Record: func(certfleet.Challenge) string { return row.Target },
		}
	})
}

func TestPresentRefusesBeforeAnOrderIsSpent(t *testing.T) {
	s, m := newStandIn(t), newMemory()
	sol, c := solver(t, s, m), solvertest.Challenge(t, "a")
	_, err := sol.Present(t.Context(), c)
	if certfleet.KindOf(err) != certfleet.NotFound || !strings.Contains(certfleet.AdviceOf(err), "acmedns ensure www.example.org") {
		t.Errorf("without account: %v", err)
	}
	row := sol.Ensure(t.Context(), names(t, "www.example.org"))[0]
	_, err = sol.Present(t.Context(), c)
	if want := "set _acme-challenge.www.example.org. IN CNAME sub-1.acme.test."; certfleet.AdviceOf(err) != want {
		t.Errorf("without CNAME: %v, advice %q", err, certfleet.AdviceOf(err))
	}
	s.dns.Add(t, row.Record+" 60 IN CNAME other.acme.test.")
	_, err = sol.Present(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "leads to other.acme.test., not to sub-1.acme.test") {
		t.Errorf("with another CNAME: %v", err)
	}
	s.dns.Fail("", c.DNSName(), dns.RcodeServerFailure)
	_, err = sol.Present(t.Context(), c)
	if certfleet.KindOf(err) != certfleet.Unreachable {
		t.Errorf("with failing name servers: %v", err)
	}
	if n := s.called(); n != 1 {
		t.Errorf("the server was called %d times, not once to register", n)
	}
}

func TestServerRefusalsAreExplained(t *testing.T) {
	s, m := newStandIn(t), newMemory()
	sol, c := solver(t, s, m), solvertest.Challenge(t, "a")
	row := sol.Ensure(t.Context(), names(t, "www.example.org"))[0]
	s.dns.Add(t, row.Record+" 60 IN CNAME "+row.Target)
	for status, kind := range map[int]certfleet.Kind{401: certfleet.Denied, 400: certfleet.Invalid, 404: certfleet.Unreachable, 500: certfleet.Unreachable, http.StatusFound: certfleet.Unreachable} {
		s.failWith(status)
		_, err := sol.Present(t.Context(), c)
		if err == nil || certfleet.KindOf(err) != kind || certfleet.AdviceOf(err) == "" {
			t.Errorf("status %d gave %v (%v)", status, err, certfleet.KindOf(err))
		}
		if strings.Contains(fmt.Sprintf("%+v %#v", err, err), "password-1") {
			t.Errorf("status %d: the error shows the password", status)
		}
		if strings.Contains(fmt.Sprint(err), "connection refused") {
			t.Error("a redirect was followed, with the password")
		}
	}
}

func TestEnsureRegistersEachNameOnce(t *testing.T) {
	s, m := newStandIn(t), newMemory()
	sol := solver(t, s, m)
	var in []string
	for i := range 30 {
		in = append(in, fmt.Sprintf("n%02d.example.org", i))
	}
	in = append(in, "*.n00.example.org", "192.0.2.1")
	rows := sol.Ensure(t.Context(), names(t, in...))
	if len(rows) != 30 || s.called() != 30 {
		t.Fatalf("%d rows, %d calls; want 30 of each", len(rows), s.called())
	}
	targets := map[string]bool{}
	for i, r := range rows {
		targets[r.Target] = true
		if r.Name != in[i] || !r.New || r.Err != nil || r.Record != "_acme-challenge."+in[i]+"." {
			t.Errorf("row %d is %+v", i, r)
		}
	}
	again := sol.Ensure(t.Context(), names(t, in...))
	if s.called() != 30 || len(targets) != 30 || again[7].New || again[7].Target != rows[7].Target {
		t.Errorf("%d calls, %d targets, row 7 now %+v", s.called(), len(targets), again[7])
	}
}

func TestEnsureGoesOnAfterAFailure(t *testing.T) {
	s := newStandIn(t)
	s.failWith(500)
	rows := solver(t, s, newMemory()).Ensure(t.Context(), names(t, "a.example.org", "b.example.org"))
	if len(rows) != 2 || rows[0].Err == nil || rows[1].Err == nil || rows[1].Target != "" || s.called() != 2 {
		t.Errorf("rows %+v after %d calls", rows, s.called())
	}
}

func TestAuditFindsWhatWouldFail(t *testing.T) {
	s, m := newStandIn(t), newMemory()
	sol := solver(t, s, m)
	rows := sol.Ensure(t.Context(), names(t, "good.example.org", "unset.example.org", "wrong.example.org"))
	s.dns.Add(t, rows[0].Record+" 60 IN CNAME "+rows[0].Target, rows[2].Record+" 60 IN CNAME "+rows[0].Target)
	s.dns.SetTXT(t, rows[0].Target, "a-value")
	before := s.called()
	found := sol.Audit(t.Context(), names(t, "good.example.org", "unset.example.org", "wrong.example.org", "none.example.org"))
	for i, want := range []string{"", "is not a CNAME to", "leads to sub-", "has no acme-dns account"} {
		f := found[i]
		if (f.Problem == "") != (want == "") || !strings.Contains(f.Problem, want) || (f.Problem != "" && f.Advice == "") {
			t.Errorf("%s: problem %q, advice %q; want %q", f.Name, f.Problem, f.Advice, want)
		}
	}
	if !strings.Contains(found[0].TXT, `holds 1 values ["a-value"]`) {
		t.Errorf("the texts seen are %q", found[0].TXT)
	}
	if s.called() != before {
		t.Error("an audit must not touch the accounts")
	}
	s.dns.Fail("", rows[0].Target, solvertest.Lame)
	if f := sol.Audit(t.Context(), names(t, "good.example.org"))[0]; !strings.Contains(f.Problem, "no server of acme.test. answers") {
		t.Errorf("with a lame acme-dns server: %+v", f)
	}
}

func TestExportFormats(t *testing.T) {
	rows := []acmedns.Row{{Name: "a.example.org", Record: "_acme-challenge.a.example.org.", Target: "x.acme.test.", New: true}}
	for format, want := range map[string]string{
		"csv":  "name,record,target\na.example.org,_acme-challenge.a.example.org.,x.acme.test.\n",
		"zone": "_acme-challenge.a.example.org. IN CNAME x.acme.test.\n",
		"json": "[\n  {\n    \"name\": \"a.example.org\",\n    \"record\": \"_acme-challenge.a.example.org.\",\n    \"target\": \"x.acme.test.\",\n    \"new\": true\n  }\n]\n",
	} {
		var b bytes.Buffer
		if err := acmedns.Export(&b, format, rows); err != nil || b.String() != want {
			t.Errorf("%s: %q, %v", format, b.String(), err)
		}
	}
	var b bytes.Buffer
	if err := acmedns.Export(&b, "json", nil); err != nil || b.String() != "[]\n" {
		t.Errorf("no rows: %q, %v", b.String(), err)
	}
	if err := acmedns.Export(&b, "xml", rows); certfleet.AdviceOf(err) == "" {
		t.Errorf("an unknown format gave %v", err)
	}
}

func TestImportedAccountsWork(t *testing.T) {
	s, m := newStandIn(t), newMemory()
	made, err := solver(t, s, newMemory()).Register(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.dns.Add(t, "_acme-challenge.www.example.org. 60 IN CNAME "+made.FullDomain+".")
	file := fmt.Sprintf(`{"www.example.org": {"fulldomain": %q, "subdomain": %q, "username": %q, "password": %q, "allowfrom": [], "server_url": %q},
		"_acme-challenge.b.example.org": {"fulldomain": "b.acme.test", "subdomain": "b", "username": "u", "password": "p"}}`,
		made.FullDomain, made.SubDomain, made.Username, string(made.Password), s.url)
	sol := solver(t, s, m)
	rows, err := sol.Import(t.Context(), strings.NewReader(file), false)
	if err != nil || len(rows) != 2 || rows[0].Name != "b.example.org" || !rows[1].New {
		t.Fatalf("rows %+v, %v", rows, err)
	}
	c := solvertest.Challenge(t, "a")
	if _, err := sol.Present(t.Context(), c); err != nil {
		t.Errorf("present with an imported account: %v", err)
	}
	if ok, seen, err := sol.Ready(t.Context(), c, nil); !ok || err != nil {
		t.Errorf("ready %v, seen %q, %v", ok, seen, err)
	}
	exported, err := sol.Rows(t.Context(), names(t, "b.example.org", "www.example.org", "none.example.org"))
	if err != nil || len(exported) != 2 || exported[0].Target != "b.acme.test." {
		t.Errorf("rows to export are %+v, %v", exported, err)
	}
}

func TestImportKeepsWhatIsThere(t *testing.T) {
	s, m := newStandIn(t), newMemory()
	sol := solver(t, s, m)
	have := sol.Ensure(t.Context(), names(t, "www.example.org"))[0]
	const other = `{"www.example.org": {"fulldomain":"o.acme.test","subdomain":"o","username":"u","password":"p"}}`
	rows, err := sol.Import(t.Context(), strings.NewReader(other), false)
	if err != nil || certfleet.KindOf(rows[0].Err) != certfleet.Conflict {
		t.Errorf("rows %+v, %v", rows, err)
	}
	if now := sol.Ensure(t.Context(), names(t, "www.example.org"))[0]; now.Target != have.Target {
		t.Errorf("the account was replaced by %s", now.Target)
	}
	rows, _ = sol.Import(t.Context(), strings.NewReader(other), true)
	if rows[0].Err != nil || rows[0].Target != "o.acme.test." {
		t.Errorf("with replace: %+v", rows)
	}
}

func TestImportRefusesWholeFiles(t *testing.T) {
	m := newMemory()
	sol := solver(t, newStandIn(t), m)
	good := `"a.example.org": {"fulldomain":"f","subdomain":"s","username":"u","password":"very-secret"}`
	for what, file := range map[string]string{
		"no JSON":       `{` + good + `, "very-secret`,
		"a list":        `[{"password":"very-secret"}]`,
		"no password":   `{` + good + `, "b.example.org": {"fulldomain":"f","subdomain":"s","username":"u"}}`,
		"a bad name":    `{` + good + `, "b_c.example.org": {"fulldomain":"f","subdomain":"s","username":"u","password":"p"}}`,
		"a bad server":  `{` + good + `, "b.example.org": {"fulldomain":"f","subdomain":"s","username":"u","password":"p","server_url":"ftp://x"}}`,
		"a name twice":  `{` + good + `, "*.a.example.org": {"fulldomain":"g","subdomain":"s","username":"u","password":"p"}}`,
		"a wrong field": `{` + good + `, "b.example.org": {"fulldomain":7,"password":"very-secret"}}`,
	} {
		_, err := sol.Import(t.Context(), strings.NewReader(file), false)
		if certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" || strings.Contains(fmt.Sprint(err), "very-secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(m.kept) > 0 {
		t.Errorf("%d accounts were kept from refused files", len(m.kept))
	}
}

func TestNewRefusesBadServers(t *testing.T) {
	for _, u := range []string{"", "acme-dns.example.com", "ftp://x", "https://user:pass@x"} {
		if _, err := acmedns.New(acmedns.Config{Server: u}, dial.Deps{}, newMemory()); certfleet.AdviceOf(err) == "" || strings.Contains(fmt.Sprint(err), "pass") {
			t.Errorf("%q gave %v", u, err)
		}
	}
}
