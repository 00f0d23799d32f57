package issue_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// wrongZone presents a value that nobody asked for.
type wrongZone struct{ *zone }

func (z wrongZone) Present(_ context.Context, c certfleet.Challenge) ([]byte, error) {
	z.ca.AddTXT(c.DNSName(), "not-the-value")
	return nil, nil
}

func (z wrongZone) Ready(context.Context, certfleet.Challenge, []byte) (bool, string, error) {
	return true, "", nil
}

func TestEveryFailureAtTheCASaysWhatToDo(t *testing.T) {
	t.Parallel()
	h := &house{T: t, db: storetest.SQLite(t)}
	port := h.serveHTTP01()
	serveNonsense(t, "127.0.0.3", port)
	h = build(t, h.db, pebble.Options{HTTPPort: port, Blocked: []string{"blocked.example"}, Resolve: func(name string) []netip.Addr {
		switch name {
		case "nowhere.example":
			return nil
		case "refused.example":
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		case "wrong.example":
			return []netip.Addr{netip.MustParseAddr("127.0.0.3")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}})
	h.wire.breakBy(func(w http.ResponseWriter, r *http.Request, body string) bool {
		return strings.Contains(body, "caa.example") && refuse(w, 403, "caa", "CAA record for caa.example prevents issuance", "")
	})
	r := h.room(nil)
	r.Solver = func(typ certfleet.ChallengeType, label string) (certfleet.Solver, error) {
		if typ == certfleet.DNS01 {
			return wrongZone{h.dns}, nil
		}
		return h.solver(typ, label)
	}
	h.policyLike("dns", func(s *certfleet.PolicySpec) { s.Challenge = certfleet.DNS01 })
	h.policyLike("alpn", func(s *certfleet.PolicySpec) { s.Challenge = certfleet.TLSALPN01 })
	h.policyLike("profile", func(s *certfleet.PolicySpec) { s.Profile = "glitter" })
	h.policyLike("elsewhere", func(s *certfleet.PolicySpec) { s.Authorities = []string{"unknown"} })
	for _, c := range []struct{ name, policy, problem, advice string }{
		{"nowhere.example", "default", "nowhere.example", "DNS"},
		{"refused.example", "default", "refused", "open port 80"},
		{"wrong.example", "default", "wrong.example", "/.well-known/acme-challenge/"},
		{"txt.example", "dns", "txt.example", "TXT record"},
		{"alpn.example", "alpn", "alpn.example", "port 443"},
		{"blocked.example", "default", "blocked.example", "another authority"},
		{"caa.example", "default", "CAA", "CAA record"},
		{"shiny.example", "profile", "glitter", "profiles"},
		{"lost.example", "elsewhere", "unknown", "authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := h.with(t)
			p, err := h.db.PolicyByLabel(t.Context(), 1, c.policy)
			if err != nil {
				t.Fatal(err)
			}
			cert := h.wantBy(p, c.name)
			if err := r.Open(t.Context(), cert.ID, time.Now()); err != nil {
				t.Fatal(err)
			}
			if o, err := h.db.LastOrder(t.Context(), cert.ID); err == nil {
				if o = h.finish(r, o.ID); o.State != certfleet.OrderFailed || o.Advice == "" || o.ProblemType == "" {
					t.Errorf("order is %s, type %q, advice %q", o.State, o.ProblemType, o.Advice)
				}
			}
			got := h.certificate(cert.ID)
			if !strings.Contains(got.Problem, c.problem) || !strings.Contains(got.Advice, c.advice) {
				t.Errorf("problem %q (want %q in it), advice %q (want %q in it)", got.Problem, c.problem, got.Advice, c.advice)
			}
			if got.Failures != 1 || !got.DueAt.After(time.Now()) || got.DueReason == "" {
				t.Errorf("%d failures, due %s: %s", got.Failures, got.DueAt, got.DueReason)
			}
		})
	}
}

// serveNonsense answers every challenge with something else.
func serveNonsense(t *testing.T, host string, port int) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>welcome</html>")) })}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
}

func TestAnAccountThatCannotRegisterSaysWhy(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{EABRequired: true})
	r := h.room(nil)
	c := h.want("bound.example")
	o := h.finish(r, h.open(r, c).ID)
	acct, err := h.db.Account(t.Context(), h.acct.ID)
	if err != nil || acct.State != certfleet.AccountWanted || acct.Problem == "" {
		t.Errorf("account is %+v: %v", acct, err)
	}
	if got := h.certificate(c.ID); o.State != certfleet.OrderFailed || !strings.Contains(got.Advice, "external account binding") {
		t.Errorf("order is %s; advice %q, problem %q", o.State, got.Advice, got.Problem)
	}
}

func TestAnAccountThatTheCALostSaysWhatToDo(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	r := h.room(nil)
	h.issue(r, h.want("known.example"))
	acct, err := h.db.Account(t.Context(), h.acct.ID)
	if err != nil {
		t.Fatal(err)
	}
	acct.URL += "9"
	h.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SaveAccount(ctx, acct) })
	c := h.want("unknown.example")
	o := h.finish(r, h.open(r, c).ID)
	if got := h.certificate(c.ID); o.State != certfleet.OrderFailed || !strings.Contains(got.Advice, "account") {
		t.Errorf("order is %s: %s; advice %q", o.State, o.Problem, got.Advice)
	}
}
