package pebble_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/pebble"
)

func start(t *testing.T, o pebble.Options) *pebble.CA {
	t.Helper()
	ca, err := pebble.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ca.Close(); err != nil {
			t.Error(err)
		}
	})
	return ca
}

// resolver asks the CA's DNS over one transport.
func resolver(ca *pebble.CA, network string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, ca.DNSAddr)
	}}
}

func TestNamesResolveAsTold(t *testing.T) {
	ca := start(t, pebble.Options{Resolve: func(name string) []netip.Addr {
		switch name {
		case "missing.example":
			return nil
		case "dual.example":
			return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.9")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}})
	ca.SetCNAME("alias.example", "dual.example")
	for _, network := range []string{"udp", "tcp"} {
		for name, want := range map[string][]string{
			"any.example": {"127.0.0.1"}, "DUAL.example": {"127.0.0.9", "::1"}, "alias.example": {"127.0.0.9", "::1"},
		} {
			got, err := resolver(ca, network).LookupHost(t.Context(), name+".")
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s over %s is at %v, want %v: %v", name, network, got, want, err)
			}
		}
		_, err := resolver(ca, network).LookupHost(t.Context(), "missing.example.")
		if e, ok := errors.AsType[*net.DNSError](err); !ok || !e.IsNotFound {
			t.Errorf("missing name over %s: %v", network, err)
		}
	}
}

func TestTXTRecordsComeAndGo(t *testing.T) {
	ca := start(t, pebble.Options{})
	r := resolver(ca, "tcp")
	long := string(slices.Repeat([]byte("x"), 600))
	ca.AddTXT("_acme-challenge.Shop.example.", "one")
	ca.AddTXT("_acme-challenge.shop.example", long)
	ca.SetCNAME("_acme-challenge.www.example", "_acme-challenge.shop.example")
	for _, name := range []string{"_acme-challenge.shop.example.", "_acme-challenge.www.example."} {
		if got, err := r.LookupTXT(t.Context(), name); err != nil || !slices.Equal(got, []string{"one", long}) {
			t.Errorf("%s: %d records, %v", name, len(got), err)
		}
	}
	ca.ClearTXT("_acme-challenge.shop.example")
	if got, _ := r.LookupTXT(t.Context(), "_acme-challenge.shop.example."); len(got) != 0 {
		t.Errorf("%d records remain", len(got))
	}
}

func TestEnvironmentIsAsBefore(t *testing.T) {
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "77")
	os.Unsetenv("PEBBLE_VA_ALWAYS_VALID")
	start(t, pebble.Options{NonceReject: 3, AlwaysValid: true})
	if v := os.Getenv("PEBBLE_WFE_NONCEREJECT"); v != "77" {
		t.Errorf("PEBBLE_WFE_NONCEREJECT is %q, want 77", v)
	}
	if v, ok := os.LookupEnv("PEBBLE_VA_ALWAYS_VALID"); ok {
		t.Errorf("PEBBLE_VA_ALWAYS_VALID is %q, want unset", v)
	}
}

func TestAPIIsTrustedByItsBundleAlone(t *testing.T) {
	ca := start(t, pebble.Options{EABRequired: true})
	if resp, err := http.Get(ca.DirectoryURL); err == nil {
		resp.Body.Close()
		t.Error("the system's trust store accepts the test CA")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca.TrustPEM) {
		t.Fatal("TrustPEM holds no certificate")
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get(ca.DirectoryURL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var dir struct {
		Meta struct{ ExternalAccountRequired bool }
	}
	if err := json.NewDecoder(resp.Body).Decode(&dir); err != nil || !dir.Meta.ExternalAccountRequired {
		t.Errorf("directory %+v: %v", dir, err)
	}
}

func TestClosedCAFreesItsAddresses(t *testing.T) {
	ca, err := pebble.Start(pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, pebble.Options{DNSListen: ca.DNSAddr})
	if again.DNSAddr != ca.DNSAddr {
		t.Errorf("DNS at %s, want %s", again.DNSAddr, ca.DNSAddr)
	}
	if _, err := pebble.Start(pebble.Options{DNSListen: ca.DNSAddr}); err == nil {
		t.Error("two DNS servers at one address")
	}
}
