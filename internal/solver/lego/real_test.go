package lego

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/dnsq"
	"github.com/certfleet/certfleet/internal/solver/solvertest"
)

// TestRealProgram passes the suite with certfleet-dns itself and lego's httpreq
// provider, whose API here writes into the test server's zone.
func TestRealProgram(t *testing.T) {
	program := os.Getenv("CERTFLEET_DNS_PROGRAM")
	if program == "" {
		t.Skip("build dns/cmd/certfleet-dns and name the program in CERTFLEET_DNS_PROGRAM to run this")
	}
	solvertest.Run(t, func(t *testing.T) solvertest.Fixture {
		d := solvertest.Serve(t, solvertest.Zone("example.org.", 2)...)
		api := httptest.NewServer(httpreq(t, d))
		t.Cleanup(api.Close)
		again := func(t *testing.T) certfleet.Solver {
			s, err := New(Config{
				Provider: "httpreq", Program: program, Settings: map[string]string{"HTTPREQ_ENDPOINT": api.URL},
				DNS: dnsq.Config{Resolvers: []string{d.Addr()}, AuthorityPort: d.Port},
			}, dial.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		return solvertest.Fixture{
			Solver: again(t), Again: again, Values: d.Values,
			Record: func(c certfleet.Challenge) string { return c.DNSName() },
			Put:    func(t *testing.T, record, value string) { d.SetTXT(t, record, value) },
		}
	})
}

func httpreq(t *testing.T, d *solvertest.DNS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ FQDN, Value string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		values := slices.DeleteFunc(d.Values(in.FQDN), func(v string) bool { return v == in.Value })
		if r.URL.Path == "/present" {
			values = append(values, in.Value)
		}
		d.SetTXT(t, in.FQDN, values...)
	})
}
