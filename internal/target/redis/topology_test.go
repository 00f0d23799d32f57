package redis

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/target/redis/redistest"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

// works delivers, renews, compares and removes.
func works(t *testing.T, c Config) {
	t.Helper()
	target, err := New(c, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	for v := range int64(2) {
		b := targettest.Bundle(t, "shop", v+1, "shop.example.com", fmt.Sprintf("v%d.example.com", v))
		r, err := target.Deliver(t.Context(), []certfleet.Bundle{b}, nil)
		if err != nil || r[0].Err != nil {
			t.Fatalf("version %d: %v, %v", v+1, err, r)
		}
		if got, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); err != nil || got != b.Fingerprint {
			t.Errorf("holds %q, %v; want version %d", got, err, v+1)
		}
	}
	if err := target.Remove(t.Context(), "shop", certfleet.Receipt{}); err != nil {
		t.Error(err)
	}
	if got, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); got != "" || err != nil {
		t.Errorf("after removal it holds %q, %v", got, err)
	}
}

func TestClusterIsWrittenSlotBySlot(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	s, _ := newCluster(t)
	for layout := 1; layout <= 3; layout++ {
		works(t, Config{URL: "redis://" + s.Addr, Cluster: true, Layout: layout})
	}
}

func TestTLSIsCheckedAgainstTheGivenCA(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), redistest.FreePort(t)
	ca, err := pki.NewCA("redis", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.IssueServer([]string{"127.0.0.1"}, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pki.ParseChain(issued.ChainPEM)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"chain.pem": issued.ChainPEM, "key.pem": issued.KeyPEM, "ca.pem": pki.EncodeChain(certs[len(certs)-1:])} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	redistest.Start(t, "--tls-port", port, "--tls-auth-clients", "no", "--tls-cert-file", filepath.Join(dir, "chain.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"), "--tls-ca-cert-file", filepath.Join(dir, "ca.pem"))
	works(t, Config{URL: "rediss://127.0.0.1:" + port, CA: filepath.Join(dir, "ca.pem")})
	target, err := New(Config{URL: "rediss://127.0.0.1:" + port}, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := target.Deliver(t.Context(), nil, nil); err == nil {
		t.Error("a server of an unknown CA was trusted")
	}
}

func TestSentinelsKnowThePrimary(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	port := redistest.FreePort(t)
	host, primary, _ := net.SplitHostPort(s.Addr)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor fleet %s %s 1\n", port, host, primary)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(trial.Program(t, "redis-server", "redis-server"), conf, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	trial.Until(t, "the sentinel listens", func() (bool, string) {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil, fmt.Sprint(err)
	})
	works(t, Config{URL: "redis://127.0.0.1:" + port + "/9", Master: "fleet"})
}
