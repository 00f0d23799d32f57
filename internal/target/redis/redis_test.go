package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/target/redis/redistest"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
	goredis "github.com/redis/go-redis/v9"
)

// place is a target on a Redis of its own, and a client that looks at it.
type place struct {
	*Target
	*testing.T
	db     *goredis.Client
	server *redistest.Server
}

func newPlace(t *testing.T, c Config, args ...string) place {
	t.Helper()
	server := redistest.Start(t, args...)
	if c.URL == "" {
		c.URL = server.URL(9)
	}
	target, err := New(c, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	db := goredis.NewClient(&goredis.Options{Addr: server.Addr, DB: 9})
	t.Cleanup(func() { db.Close() })
	return place{Target: target, T: t, db: db, server: server}
}

func (p place) must(bundles ...certfleet.Bundle) {
	p.Helper()
	receipts, err := p.Deliver(p.Context(), bundles, nil)
	if err != nil {
		p.Fatal(err)
	}
	for _, r := range receipts {
		if r.Err != nil || !r.Applied {
			p.Fatalf("%s version %d: applied=%v, %v", r.Certificate, r.Version, r.Applied, r.Err)
		}
	}
}

// entries are all keys but our own bookkeeping.
func (p place) entries() []string {
	keys := p.db.Keys(p.Context(), "*").Val()
	keys = slices.DeleteFunc(keys, func(k string) bool { return strings.Contains(k, "certfleet:") })
	slices.Sort(keys)
	return keys
}

func sealFile(t testing.TB) string {
	t.Helper()
	b := make([]byte, 32)
	rand.Read(b)
	path := filepath.Join(t.TempDir(), "seal")
	if err := os.WriteFile(path, []byte(hex.EncodeToString(b)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

func TestEveryLayoutPassesTheTargetSuite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(*testing.T) Config{
		"layout 1":        func(*testing.T) Config { return Config{Layout: 1} },
		"layout 2":        func(*testing.T) Config { return Config{Layout: 2, TTL: "30d"} },
		"layout 3":        func(*testing.T) Config { return Config{} },
		"layout 3 sealed": func(t *testing.T) Config { return Config{SealKey: sealFile(t), Prefix: "a:", RSABeside: true} },
	} {
		t.Run(name, func(t *testing.T) {
			targettest.Run(t, func(t *testing.T) (certfleet.Target, targettest.Reader) {
				p := newPlace(t, c(t))
				return p.Target, p.reader()
			})
		})
	}
}

// reader reads as an edge does: from the name, without our records. The suite's
// certificates are named for their label.
func (p place) reader() targettest.Reader {
	return func(certificate string) (chain, key []byte, err error) {
		name := certificate
		if !strings.Contains(name, ".") {
			name += ".example.com"
		}
		switch h := p.db.HGetAll(context.Background(), fmt.Sprintf("%sd%d:%s", p.Prefix, p.Layout, name)).Val(); {
		case len(h) == 0:
			return nil, nil, nil
		case p.Layout == 1:
			leaf, err := p.db.Get(context.Background(), "c:"+h["c"]).Bytes()
			chain, key := p.db.Get(context.Background(), "i:"+h["i"]).Val(), p.db.Get(context.Background(), "p:"+h["p"]).Val()
			return []byte(string(leaf) + "\n" + chain), []byte(key), err
		case p.Layout == 2:
			return []byte(h["f"]), []byte(h["p"]), nil
		default:
			plain, err := p.seal.open(h["k"], p.db.Get(context.Background(), p.Prefix+"k3:"+h["k"]).Val())
			return []byte(h["f"]), plain, err
		}
	}
}

func TestLayout1IsThatOfPeterSSLers(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{Layout: 1})
	b := targettest.Bundle(t, "shop", 7, "shop.example.com", "www.example.com")
	p.must(b)
	h := p.db.HGetAll(t.Context(), "d1:shop.example.com").Val()
	if got := slices.Sorted(maps.Keys(h)); !slices.Equal(got, []string{"c", "i", "p"}) {
		t.Errorf("d1: has fields %q", got)
	}
	for f, id := range h {
		if strings.Trim(id, "0123456789") != "" {
			t.Errorf("%s is %q, want a decimal id", f, id)
		}
	}
	want := []string{"c:" + h["c"], "d1:shop.example.com", "d1:www.example.com", "i:" + h["i"], "p:" + h["p"]}
	if got := p.entries(); !slices.Equal(got, want) {
		t.Errorf("Redis holds %q, want %q", got, want)
	}
	if ttl := p.db.TTL(t.Context(), "d1:shop.example.com").Val(); ttl != -1 {
		t.Errorf("d1: lives %v, want for ever", ttl)
	}
}

func TestLayout2HasItsTwoFields(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{Layout: 2})
	b := targettest.Bundle(t, "shop", 7, "shop.example.com")
	p.must(b)
	h := p.db.HGetAll(t.Context(), "d2:shop.example.com").Val()
	if len(h) != 2 || h["p"] != string(b.KeyPEM) || !strings.HasPrefix(h["f"], string(b.ChainPEM[:200])) {
		t.Errorf("d2: has %d fields: %q", len(h), slices.Collect(maps.Keys(h)))
	}
}

func TestTimeoutsOfPeterSSLersArePerKind(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{Layout: 1, Timeouts: Timeouts{Cert: 100, CertChain: 200, PKey: 300, Domain: 400}})
	p.must(targettest.Bundle(t, "shop", 1, "shop.example.com"))
	h := p.db.HGetAll(t.Context(), "d1:shop.example.com").Val()
	for key, want := range map[string]time.Duration{"c:" + h["c"]: 100, "i:" + h["i"]: 200, "p:" + h["p"]: 300, "d1:shop.example.com": 400} {
		if got := p.db.TTL(t.Context(), key).Val(); got > want*time.Second || got < (want-60)*time.Second {
			t.Errorf("%s lives %v, want %ds", key, got, want)
		}
	}
}

func TestLayout3EntriesEndWithTheirCertificate(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{})
	b := targettest.Bundle(t, "shop", 1, "shop.example.com")
	p.must(b)
	for _, key := range p.entries() {
		if got := p.db.ExpireTime(t.Context(), key).Val(); int64(got.Seconds()) != b.NotAfter.Unix() {
			t.Errorf("%s ends at %v, want %d", key, got, b.NotAfter.Unix())
		}
	}
}

func TestSealedRedisHoldsNoClearKey(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{SealKey: sealFile(t)})
	p.must(targettest.Bundle(t, "shop", 1, "shop.example.com"))
	looked := 0
	for _, key := range p.db.Keys(t.Context(), "*").Val() {
		dump := p.db.Dump(t.Context(), key).Val()
		if p.db.Type(t.Context(), key).Val() == "string" {
			dump = p.db.Get(t.Context(), key).Val()
		} else if p.db.Type(t.Context(), key).Val() == "hash" {
			dump = fmt.Sprint(p.db.HGetAll(t.Context(), key).Val())
		}
		if looked++; strings.Contains(dump, "PRIVATE KEY") {
			t.Errorf("%s holds a clear key", key)
		}
	}
	if looked < 4 {
		t.Errorf("only %d keys were looked at", looked)
	}
}

func TestSealedKeyBelongsToItsKeyID(t *testing.T) {
	t.Parallel()
	s, err := openSealer(sealFile(t))
	if err != nil {
		t.Fatal(err)
	}
	value := s.seal("aa", certfleet.Secret("plain"))
	if got, err := s.open("aa", value); err != nil || string(got) != "plain" {
		t.Errorf("opened %q, %v", []byte(got), err)
	}
	if _, err := s.open("bb", value); err == nil {
		t.Error("a key moved to another id was opened")
	}
	other, _ := openSealer(sealFile(t))
	if _, err := other.open("aa", value); certfleet.KindOf(err) != certfleet.Denied {
		t.Errorf("another sealing key: %v", err)
	}
}

func TestSharedKeyGoesWithItsLastUser(t *testing.T) {
	t.Parallel()
	for _, layout := range []int{1, 3} {
		p := newPlace(t, Config{Layout: layout})
		a := targettest.Bundle(t, "a", 1, "a.example.com")
		b := a
		b.Certificate, b.Names = "b", names(t, "b.example.com")
		p.must(a, b)
		kind := map[int]string{1: "p:", 3: "k3:"}[layout]
		if err := p.Remove(t.Context(), "a", certfleet.Receipt{}); err != nil {
			t.Fatal(err)
		}
		if got := p.count(kind); got != 1 {
			t.Errorf("layout %d: %d keys after the first user went, want 1", layout, got)
		}
		if err := p.Remove(t.Context(), "b", certfleet.Receipt{}); err != nil {
			t.Fatal(err)
		}
		if left := p.db.Keys(t.Context(), "*").Val(); len(left) != 1 || left[0] != "certfleet:changes" {
			t.Errorf("layout %d: %q are left", layout, left)
		}
	}
}

func (p place) count(kind string) (n int) {
	for _, k := range p.entries() {
		if strings.HasPrefix(k, kind) {
			n++
		}
	}
	return n
}

func names(t *testing.T, list ...string) []certfleet.Name {
	t.Helper()
	n, err := certfleet.ParseNames(list)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRenewalLeavesNothingStale(t *testing.T) {
	t.Parallel()
	for layout := 1; layout <= 3; layout++ {
		p := newPlace(t, Config{Layout: layout})
		p.must(targettest.Bundle(t, "shop", 1, "shop.example.com", "old.example.com"))
		p.must(targettest.Bundle(t, "shop", 2, "shop.example.com", "new.example.com"))
		if got, want := p.count(fmt.Sprintf("d%d:", layout)), 2; got != want {
			t.Errorf("layout %d: %d names, want %d: %q", layout, got, want, p.entries())
		}
		if got, want := len(p.entries()), map[int]int{1: 5, 2: 2, 3: 3}[layout]; got != want {
			t.Errorf("layout %d: %q, want %d keys", layout, p.entries(), want)
		}
	}
}

func TestInterruptedDeliveryIsCleanedByTheNext(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{})
	p.must(targettest.Bundle(t, "shop", 1, "shop.example.com", "old.example.com"))
	c, err := p.check(targettest.Bundle(t, "shop", 2, "shop.example.com", "lost.example.com"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	j := []*job{{content: c, receipt: &certfleet.Receipt{}}}
	p.claim(t.Context(), p.db, j)
	p.Target.share(t.Context(), p.db, j)
	p.name(t.Context(), p.db, j) // and here it dies, with nothing dropped
	p.must(targettest.Bundle(t, "shop", 3, "shop.example.com"))
	if got := p.entries(); len(got) != 2 || got[0] != "d3:shop.example.com" {
		t.Errorf("after the next delivery Redis holds %q", got)
	}
}

func TestNameGoesToTheNewerCertificate(t *testing.T) {
	t.Parallel()
	for layout := 1; layout <= 3; layout++ {
		p := newPlace(t, Config{Layout: layout})
		newer := targettest.Bundle(t, "newer", 9, "shop.example.com")
		p.must(newer)
		p.must(targettest.Bundle(t, "older", 5, "shop.example.com"))
		read := p.reader()
		chain, key, _ := read("shop.example.com")
		certs, _, err := pki.ParsePair(chain, key)
		if err != nil || pki.Fingerprint(certs[0]) != newer.Fingerprint {
			t.Errorf("layout %d: the older certificate took the name over: %v", layout, err)
		}
		if err := p.Remove(t.Context(), "older", certfleet.Receipt{}); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Holds(t.Context(), "newer", certfleet.Receipt{}); err != nil || got != newer.Fingerprint {
			t.Errorf("layout %d: removing the older one left %q, %v", layout, got, err)
		}
	}
}

// rsaBundle is a bundle like those of targettest, with an RSA key.
func rsaBundle(t *testing.T, certificate string, version int64, list ...string) certfleet.Bundle {
	t.Helper()
	signer, err := pki.GenerateKey(certfleet.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	return selfSigned(t, certificate, version, signer, list...)
}

func TestRSAPairStandsBesideECDSA(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{RSABeside: true})
	p.must(targettest.Bundle(t, "ec", 2, "shop.example.com"))
	p.must(rsaBundle(t, "rsa", 1, "shop.example.com"))
	h := p.db.HGetAll(t.Context(), "d3:shop.example.com").Val()
	if h["g"] != "2" || h["g2"] != "1" || h["k"] == h["k2"] || p.count("k3:") != 2 {
		t.Errorf("generations %q and %q, %d keys", h["g"], h["g2"], p.count("k3:"))
	}
	if err := p.Remove(t.Context(), "ec", certfleet.Receipt{}); err != nil {
		t.Fatal(err)
	}
	if h := p.db.HGetAll(t.Context(), "d3:shop.example.com").Val(); h["f"] != "" || h["f2"] == "" {
		t.Error("removing the ECDSA pair did not leave the RSA pair alone")
	}
}

func TestChangesArePublished(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{})
	sub := p.db.Subscribe(t.Context(), "certfleet:changed")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.must(targettest.Bundle(t, "shop", 1, "shop.example.com", "*.example.com"))
	select {
	case m := <-sub.Channel():
		if m.Payload != "1 *.example.com shop.example.com" {
			t.Errorf("published %q", m.Payload)
		}
	case <-time.After(trial.Patience):
		t.Error("nothing was published")
	}
}

func TestEveryEdgeIsToldAndOneThatFailsIsNamed(t *testing.T) {
	var asked [3]chan string
	edge := func(i int, version string, status int) Edge {
		asked[i] = make(chan string, 10)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			asked[i] <- strings.TrimPrefix(r.URL.Path, expirePath) + " " + user + " " + password
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"result": "success", "server_version": %q}`, version)
		}))
		t.Cleanup(s.Close)
		t.Setenv("EDGE_PASSWORD", "hunter2")
		return Edge{URL: s.URL, User: "ops", Password: "env:EDGE_PASSWORD"}
	}
	p := newPlace(t, Config{Edges: []Edge{edge(0, "1.0.0", 200), edge(1, "0.5.0", 200), edge(2, "1.0.0", 500)}})
	r, err := p.Deliver(t.Context(), []certfleet.Bundle{targettest.Bundle(t, "shop", 1, "shop.example.com")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r[0].Applied || certfleet.KindOf(r[0].Err) != certfleet.Unreachable || !strings.Contains(r[0].Err.Error(), p.edges[2].URL) {
		t.Errorf("applied=%v, %v; want it applied, with the third edge named", r[0].Applied, r[0].Err)
	}
	for i, want := range [][]string{{"/domain/shop.example.com ops hunter2"}, {"/domain/shop.example.com ops hunter2", "/all ops hunter2"}, {"/domain/shop.example.com ops hunter2"}} {
		close(asked[i])
		var got []string
		for a := range asked[i] {
			got = append(got, a)
		}
		if !slices.Equal(got, want) {
			t.Errorf("edge %d was asked %q, want %q", i, got, want)
		}
	}
}

func TestStatusIsAskedBesideTheExpireRoute(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.RequestURI
		fmt.Fprint(w, `{"result": "success", "server_version": "0.5.0", "keys": {}}`)
	}))
	defer s.Close()
	for _, c := range []struct {
		edge Edge
		want string
	}{
		{Edge{}, "/.peter_sslers/nginx/shared_cache/status"},
		{Edge{Path: "/ngxadmin/shared_cache/expire/"}, "/ngxadmin/shared_cache/status"},
		{Edge{Path: "/gone"}, "/gone/status"},
		{Edge{StatusPath: "/state"}, "/state"},
	} {
		c.edge.URL = s.URL
		target, err := New(Config{URL: "redis://127.0.0.1:1", Edges: []Edge{c.edge}}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		got := target.AskEdges(t.Context())
		if uri := <-asked; uri != c.want || len(got) != 1 || got[0].Err != nil || got[0].Version != "0.5.0" || got[0].Status != 200 {
			t.Errorf("%+v: asked %s, got %+v; want %s", c.edge, uri, got, c.want)
		}
	}
}

func TestProblemsCarryAdviceAndNoPassword(t *testing.T) {
	t.Parallel()
	protected := redistest.Start(t, "--requirepass", "right")
	closed := redistest.FreePort(t)
	for name, c := range map[string]struct {
		url  string
		kind certfleet.Kind
	}{
		"wrong password": {"redis://:hunter2@" + protected.Addr + "/9", certfleet.Denied},
		"no password":    {"redis://" + protected.Addr, certfleet.Denied},
		"nothing there":  {"redis://:hunter2@127.0.0.1:" + closed, certfleet.Unreachable},
	} {
		target, err := New(Config{URL: c.url, Timeout: certfleet.Duration(trial.Patience)}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = target.Deliver(t.Context(), []certfleet.Bundle{targettest.Bundle(t, "shop", 1, "shop.example.com")}, nil)
		if certfleet.KindOf(err) != c.kind || certfleet.AdviceOf(err) == "" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHungRedisIsGivenUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target, err := New(Config{URL: "redis://" + l.Addr().String(), Timeout: certfleet.Duration(200 * time.Millisecond)}, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = target.Deliver(t.Context(), nil, nil)
	if certfleet.KindOf(err) != certfleet.Unreachable || time.Since(began) > trial.Patience/2 {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestPasswordSocketAndDatabase(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "right")
	p := newPlace(t, Config{URL: "unix:///nowhere"}, "--requirepass", "right")
	for url, db := range map[string]int{"unix://" + p.server.Socket: 9, "unix://" + p.server.Socket + "?db=3": 3, "redis://" + p.server.Addr: 9, "redis://" + p.server.Addr + "/4": 4} {
		target, err := New(Config{URL: url, Password: "env:REDIS_PASSWORD"}, dial.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := target.Deliver(t.Context(), []certfleet.Bundle{targettest.Bundle(t, "shop", 1, "shop.example.com")}, nil)
		if err != nil || r[0].Err != nil {
			t.Fatalf("%s: %v, %v", url, err, r)
		}
		look := goredis.NewClient(&goredis.Options{Addr: p.server.Addr, Password: "right", DB: db})
		if n := look.Del(t.Context(), "d3:shop.example.com").Val(); n != 1 {
			t.Errorf("%s wrote to another database than %d", url, db)
		}
		look.Close()
	}
}

func TestConfigIsCheckedWithAdvice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"layout":         {Layout: 4},
		"seal in 2":      {Layout: 2, SealKey: "env:X"},
		"ttl":            {TTL: "soon"},
		"url":            {URL: "http://:hunter2@x"},
		"both":           {Cluster: true, Master: "m"},
		"edge":           {Edges: []Edge{{URL: "https://u:hunter2@edge"}}},
		"ca without tls": {CA: os.Args[0]},
		"bare password":  {Password: "hunter2"},
	} {
		if _, err := New(c, dial.Deps{}); err == nil || certfleet.AdviceOf(err) == "" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fleet yields n bundles of one key and names of their own, after a label.
func fleet(t testing.TB, n int) func(after string) iter.Seq2[certfleet.Bundle, error] {
	one := targettest.Bundle(t, "x", 1, "x.example.com")
	return func(after string) iter.Seq2[certfleet.Bundle, error] {
		return func(yield func(certfleet.Bundle, error) bool) {
			for i := range n {
				b := one
				b.Certificate, b.KeyPEM = fmt.Sprintf("c%07d", i), slices.Clone(one.KeyPEM)
				name, _ := certfleet.ParseName(b.Certificate + ".example.com")
				if b.Names = []certfleet.Name{name}; b.Certificate > after && !yield(b, nil) {
					return
				}
			}
		}
	}
}

func TestPrimeGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := p.Prime(ctx, fleet(t, 1200), func(Progress, []certfleet.Receipt) { cancel() }); err == nil {
		t.Fatal("a cancelled prime said that it was done")
	}
	first := ""
	from := fleet(t, 1200)
	done, err := p.Prime(t.Context(), func(after string) iter.Seq2[certfleet.Bundle, error] { first = after; return from(after) }, nil)
	if err != nil || first == "" || p.count("d3:") != 1200 {
		t.Fatalf("resumed after %q: %+v, %v; %d names", first, done, err, p.count("d3:"))
	}
	if done, err = p.Prime(t.Context(), from, nil); err != nil || done.Certificates != 1200 {
		t.Errorf("a whole one afterwards wrote %+v, %v", done, err)
	}
}

func TestVerifyFindsWhatWasLost(t *testing.T) {
	t.Parallel()
	p := newPlace(t, Config{})
	a, b := targettest.Bundle(t, "a", 1, "a.example.com"), targettest.Bundle(t, "b", 2, "b.example.com")
	p.must(a, b)
	p.db.Del(t.Context(), "d3:b.example.com")
	var found []string
	want := map[string]string{"a": a.Fingerprint, "b": b.Fingerprint, "c": "00"}
	got, err := p.Verify(t.Context(), maps.All(want), func(d Difference) { found = append(found, d.Certificate) })
	slices.Sort(found)
	if err != nil || got.Failed != 2 || !slices.Equal(found, []string{"b", "c"}) {
		t.Errorf("%+v, %v: %q differ", got, err, found)
	}
}

// TestVerifyOfManyTellsWhatDiffersInOrder has differences at both ends of batches.
func TestVerifyOfManyTellsWhatDiffersInOrder(t *testing.T) {
	t.Parallel()
	for layout := 1; layout <= 3; layout++ {
		t.Run(fmt.Sprintf("layout %d", layout), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, Config{Layout: layout})
			from := fleet(t, 1200)
			if _, err := p.Prime(t.Context(), from, nil); err != nil {
				t.Fatal(err)
			}
			lost := []string{"c0000000", "c0000499", "c0000500", "c0000999", "c0001199"}
			for _, label := range lost {
				p.db.Del(t.Context(), p.recordKey(label))
			}
			all := func(yield func(string, string) bool) {
				for b := range from("") {
					if !yield(b.Certificate, b.Fingerprint) {
						return
					}
				}
			}
			var found []string
			got, err := p.Verify(t.Context(), all, func(d Difference) { found = append(found, d.Certificate) })
			if err != nil || got.Certificates != 1200 || got.Failed != len(lost) || got.After != "c0001199" || !slices.Equal(found, lost) {
				t.Errorf("%+v, %v: %q differ, want %q", got, err, found, lost)
			}
			seen := 0
			stopping := func(yield func(string, string) bool) {
				for label, fingerprint := range all {
					if seen++; seen == 700 {
						p.server.Stop()
					}
					if !yield(label, fingerprint) {
						return
					}
				}
			}
			got, err = p.Verify(t.Context(), stopping, func(Difference) {})
			if certfleet.KindOf(err) != certfleet.Unreachable || got.Certificates != 500 {
				t.Errorf("of a Redis that went away: %+v, %v; want 500 and that it does not answer", got, err)
			}
		})
	}
}

// BenchmarkPrime says how many names a second a full write brings into a Redis
// on this machine.
func BenchmarkPrime(b *testing.B) { inLayouts(b, prime) }

// BenchmarkVerify says how many names a second a comparison of a full Redis on this
// machine with what it should hold takes.
func BenchmarkVerify(b *testing.B) {
	inLayouts(b, func(b *testing.B, target *Target, from bundlesAfter) {
		prime(b, target, from)
		want := func(yield func(string, string) bool) {
			for one := range from("") {
				if !yield(one.Certificate, one.Fingerprint) {
					return
				}
			}
		}
		b.ResetTimer()
		got, err := target.Verify(b.Context(), want, func(d Difference) { b.Errorf("%+v", d) })
		if err != nil || got.Certificates != b.N {
			b.Fatalf("%+v, %v", got, err)
		}
	})
}

type bundlesAfter = func(after string) iter.Seq2[certfleet.Bundle, error]

func prime(b *testing.B, target *Target, from bundlesAfter) {
	if _, err := target.Prime(b.Context(), from, nil); err != nil {
		b.Fatal(err)
	}
}

// inLayouts does something with a fleet of b.N names in each layout.
func inLayouts(b *testing.B, do func(*testing.B, *Target, bundlesAfter)) {
	server := redistest.Start(b)
	for _, layout := range []int{1, 2, 3} {
		b.Run(fmt.Sprintf("layout%d", layout), func(b *testing.B) {
			target, err := New(Config{URL: server.URL(layout), Layout: layout}, dial.Deps{})
			if err != nil {
				b.Fatal(err)
			}
			from := fleet(b, b.N)
			b.ResetTimer()
			do(b, target, from)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "names/s")
		})
	}
}

// TestAnOlderVersionComesBackOnPurposeOnly goes back in every layout, and leaves a
// name alone that a newer certificate took over.
func TestAnOlderVersionComesBackOnPurposeOnly(t *testing.T) {
	t.Parallel()
	for layout := 1; layout <= 3; layout++ {
		t.Run(fmt.Sprintf("layout %d", layout), func(t *testing.T) {
			p := newPlace(t, Config{Layout: layout})
			older, newer := targettest.Bundle(t, "shop", 1, "shop.example.com"), targettest.Bundle(t, "shop", 2, "shop.example.com")
			p.must(older)
			p.must(newer)
			if got, err := p.Deliver(t.Context(), []certfleet.Bundle{older}, nil); err != nil || certfleet.KindOf(got[0].Err) != certfleet.Conflict {
				t.Errorf("an older version: %+v, %v", got, err)
			}
			older.Rollback = true
			p.must(older)
			p.shows("shop", older)
			p.must(newer)
			p.shows("shop", newer)
			other := targettest.Bundle(t, "other", 3, "shop.example.com")
			p.must(other)
			p.must(older)
			p.shows("shop", other)
		})
	}
}

// shows checks which pair an edge reads.
func (p place) shows(certificate string, want certfleet.Bundle) {
	p.Helper()
	chain, key, err := p.reader()(certificate)
	if err != nil {
		p.Fatal(err)
	}
	if certs, _, err := pki.ParsePair(chain, key); err != nil || pki.Fingerprint(certs[0]) != want.Fingerprint {
		p.Errorf("an edge reads another pair than version %d of %s, or none: %v", want.Version, want.Certificate, err)
	}
}
