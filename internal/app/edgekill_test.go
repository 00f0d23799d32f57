package app_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	issuing "github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/store/storetest"
	"github.com/certfleet/certfleet/internal/trial"
)

// outpost is a nest whose nodes push to an agent that outlives them.
type outpost struct {
	*nest
	*app.App // sees the store and opens keys; it is not run
	ca       *pki.CA
	policy   int64
	live     string
	took     atomic.Int64 // bytes that came to the agent
	atByte   atomic.Int64 // where onByte is called, zero for nowhere
	onByte   func()
}

func newOutpost(t *testing.T, url string) *outpost {
	o := &outpost{nest: newNestAt(t, url)}
	c := config.Default()
	c.StateDir, c.Database = o.dir, config.Database(url)
	c.Listen = config.Listen{API: config.Off, HTTP01: config.Off, TLSALPN01: config.Off}
	var err error
	if o.App, err = app.New(t.Context(), c, app.Options{Log: testLog(t)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.App.Close() })
	if o.ca, err = pki.NewCA("outpost", time.Now()); err != nil {
		t.Fatal(err)
	}
	spec := o.runAgent()
	o.write(func(ctx context.Context, tx *store.Tx) error {
		p := &certfleet.Policy{Label: "default"}
		// One connection, so that no other worker of a stopped process sleeps in a
		// transaction with the target's lock.
		target := &certfleet.StoredTarget{Label: "edge", Type: "sftp", Spec: spec, Proof: certfleet.ProofNone, Pace: certfleet.Pace{Concurrency: 1}}
		err := errors.Join(tx.AddPolicy(ctx, p), tx.AddTarget(ctx, target))
		o.policy = p.ID
		return err
	})
	return o
}

func (o *outpost) write(fn func(context.Context, *store.Tx) error) {
	o.Helper()
	if err := o.db.Tx(o.Context(), time.Now(), func(tx *store.Tx) error { return fn(o.Context(), tx) }); err != nil {
		o.Fatal(err)
	}
}

// keyFile makes a key for SSH in a file.
func (o *outpost) keyFile(name string) (file string, public ssh.PublicKey) {
	o.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		o.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, name)
	if err != nil {
		o.Fatal(err)
	}
	if public, err = ssh.NewPublicKey(pub); err != nil {
		o.Fatal(err)
	}
	file = filepath.Join(o.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		o.Fatal(err)
	}
	return file, public
}

// runAgent starts the agent and answers the settings of a target that leads to it.
func (o *outpost) runAgent() []byte {
	host, hostPublic := o.keyFile("agent_host")
	login, public := o.keyFile("login")
	o.live = filepath.Join(o.dir, "edge")
	c := agent.Config{Staging: filepath.Join(o.dir, "staging"), Dir: o.live, SFTP: agent.SFTP{HostKeys: []string{host}, AuthorizedKeys: []string{string(ssh.MarshalAuthorizedKey(public))}}}
	a, err := agent.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		o.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, counting{l, o}) }()
	o.Cleanup(func() { stop(); <-done; a.Close() })
	spec, _ := json.Marshal(map[string]any{"host": "127.0.0.1", "port": l.Addr().(*net.TCPAddr).Port, "path": c.Staging, "key": "file:" + login, "host_keys": []string{ssh.FingerprintSHA256(hostPublic)}})
	return spec
}

// counting counts the bytes that come to the agent.
type counting struct {
	net.Listener
	o *outpost
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return counted{c, l.o}, err
}

type counted struct {
	net.Conn
	o *outpost
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	was := c.o.took.Add(int64(n)) - int64(n)
	if at := c.o.atByte.Load(); at > 0 && was < at && was+int64(n) >= at {
		c.o.onByte()
	}
	return n, err
}

// certificates adds so many, for one name each.
func (o *outpost) certificates(n int) (all []*certfleet.Certificate) {
	o.Helper()
	for i := range n {
		c := &certfleet.Certificate{Label: fmt.Sprintf("killed%d.example", i), PolicyID: o.policy, Targets: []string{"edge"}}
		var err error
		if c.Names, err = certfleet.ParseNames([]string{c.Label}); err != nil {
			o.Fatal(err)
		}
		o.write(func(ctx context.Context, tx *store.Tx) error { return tx.AddCertificate(ctx, c, "operator") })
		all = append(all, c)
	}
	return all
}

// renew gives every certificate a new version in one transaction, so that all of
// them travel together, and answers their fingerprints.
func (o *outpost) renew(all []*certfleet.Certificate) (prints []string) {
	o.Helper()
	versions := make([]*certfleet.Version, len(all))
	keys := make([]*certfleet.Key, len(all))
	for i, c := range all {
		issued, err := o.ca.IssueServer([]string{c.Label}, 90*24*time.Hour, time.Now())
		if err != nil {
			o.Fatal(err)
		}
		chain, signer, err := pki.ParsePair(issued.ChainPEM, issued.KeyPEM)
		if err != nil {
			o.Fatal(err)
		}
		if keys[i], err = o.Keys.SealImported(o.Context(), 1, "certificate", signer); err != nil {
			o.Fatal(err)
		}
		versions[i] = issuing.VersionOf(chain[0], issued.ChainPEM)
		versions[i].Tenant, versions[i].CertificateID, versions[i].Origin = 1, c.ID, "issued"
		prints = append(prints, versions[i].Fingerprint)
	}
	o.write(func(ctx context.Context, tx *store.Tx) error {
		for i, v := range versions {
			c, err := tx.Certificate(ctx, all[i].ID)
			if err != nil {
				return err
			}
			if err := tx.AddKey(ctx, keys[i]); err != nil {
				return err
			}
			v.KeyID = keys[i].ID
			if err := errors.Join(tx.AddVersion(ctx, v, nil), issuing.Adopt(ctx, tx, c, v, certfleet.SlotECDSA)); err != nil {
				return err
			}
		}
		return nil
	})
	return prints
}

// whole checks that every live pair is whole, and counts those that are of prints.
func (o *outpost) whole(prints []string) (n int) {
	o.Helper()
	for i := range prints {
		// The agent may be at work: the link moves, what it leads to does not.
		at, err := filepath.EvalSymlinks(filepath.Join(o.live, "live", fmt.Sprintf("killed%d.example", i)))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		chain, _ := os.ReadFile(filepath.Join(at, "fullchain.pem"))
		key, _ := os.ReadFile(filepath.Join(at, "privkey.pem"))
		certs, _, err := pki.ParsePair(chain, key)
		if err != nil {
			o.Errorf("%s is no whole pair: %v", at, err)
			continue
		}
		if pki.Fingerprint(certs[0]) == prints[i] {
			n++
		}
	}
	return n
}

// applied counts the deliveries in that state, and those that somebody holds.
func (o *outpost) applied() (applied, claimed int) {
	list, _, err := o.db.Deliveries(o.Context(), store.DeliveryFilter{Limit: 500})
	if err != nil {
		o.Fatal(err)
	}
	for _, d := range list {
		if d.State == certfleet.DeliveryApplied {
			applied++
		}
		if d.Owner != "" {
			claimed++
		}
	}
	return applied, claimed
}

// trouble is what one delivery came to.
func (o *outpost) trouble() string {
	list, _, err := o.db.Deliveries(o.Context(), store.DeliveryFilter{Limit: 1})
	if err != nil || len(list) == 0 {
		return fmt.Sprintf("no delivery, %v", err)
	}
	return fmt.Sprintf("%s: %s (%s)", list[0].State, list[0].Problem, list[0].Advice)
}

func (o *outpost) arrive(prints []string) {
	o.Helper()
	until(o.T, "arrive", func() (bool, string) {
		applied, claimed := o.applied()
		return applied == len(prints) && claimed == 0, fmt.Sprintf("%d applied, %d claimed; %s", applied, claimed, o.trouble())
	})
	if n := o.whole(prints); n != len(prints) {
		o.Errorf("%d of %d are live", n, len(prints))
	}
}

func eachStore(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "") })
	t.Run("postgres", func(t *testing.T) { test(t, storetest.PostgresURL(t)) })
}

// TestAManagerKilledInADeliveryDeliversTheRest kills the process before, within and
// after a push of many, while older versions are live, and starts another one.
func TestAManagerKilledInADeliveryDeliversTheRest(t *testing.T) {
	t.Parallel()
	const many = 40
	for _, place := range []string{"delivery claimed", "delivery opened", "within", "delivery handed"} {
		t.Run(place, func(t *testing.T) {
			if place != "within" {
				trial.InFull(t)
			}
			eachStore(t, func(t *testing.T, url string) {
				t.Parallel()
				o := newOutpost(t, url)
				all := o.certificates(many)
				first := o.renew(all)
				before := o.start("never")
				o.arrive(first)
				before.Process.Kill()
				<-before.ended

				next := o.renew(all)
				if place == "within" {
					started := make(chan *node, 1)
					o.onByte = sync.OnceFunc(func() { (<-started).Process.Signal(syscall.SIGKILL) })
					o.atByte.Store(o.took.Load() + 60_000)
					c := o.start("never")
					started <- c
					o.dies(c)
				} else {
					o.dies(o.start(place))
				}
				if applied, claimed := o.applied(); applied != 0 || claimed != many {
					t.Errorf("the dead node left %d applied and %d claimed", applied, claimed)
				}
				// An agent takes what it got whole, and nothing else.
				n, old := o.whole(next), o.whole(first)
				for end := time.Now().Add(trial.Patience); n+old != many && time.Now().Before(end); n, old = o.whole(next), o.whole(first) {
					time.Sleep(20 * time.Millisecond) // the agent is still at what it got
				}
				if n+old != many || place != "delivery handed" && place != "within" && n != 0 || place == "delivery handed" && n != many {
					t.Errorf("%d new and %d old pairs are live", n, old)
				}
				o.start("never")
				o.arrive(next)
			})
		})
	}
}

// TestAManagerThatSleptThroughADeliveryIsHarmless stops a process that is about to
// push. Another delivers that version and a newer one; what the first still pushes
// when it wakes must not take their place.
func TestAManagerThatSleptThroughADeliveryIsHarmless(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	for _, place := range []string{"delivery claimed", "delivery opened", "delivery handed"} {
		t.Run(place, func(t *testing.T) {
			eachStore(t, func(t *testing.T, url string) {
				t.Parallel()
				o := newOutpost(t, url)
				o.lease = 3 * time.Second
				all := o.certificates(10)
				older := o.renew(all)
				first := o.start(stopsAt + place)
				until(t, "stop", func() (bool, string) { s := stateOf(first.Process.Pid); return s == "T", s })
				second := o.start("never")
				o.arrive(older)
				newer := o.renew(all)
				o.arrive(newer)
				if err := first.Process.Signal(syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				until(t, "wake", func() (bool, string) { s := stateOf(first.Process.Pid); return s != "T", s })
				for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					if n := o.whole(newer); n != len(all) {
						t.Fatalf("after the sleeper woke %d of %d are live", n, len(all))
					}
				}
				o.arrive(newer)
				for _, c := range []*node{first, second} {
					if s := stateOf(c.Process.Pid); s == "Z" || s == "X" {
						t.Errorf("a node ended: %s", c.said.String())
					}
				}
			})
		})
	}
}
