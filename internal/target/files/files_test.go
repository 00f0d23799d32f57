package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/target/targettest"
)

var layouts = []Layout{Certbot, HAProxy, PeterSSLers}

func newTarget(t testing.TB, c Config) *Target {
	t.Helper()
	target, err := New(c, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// served reads as a server does that was told the paths of the layout.
func served(dir string, l Layout) targettest.Reader {
	return func(certificate string) ([]byte, []byte, error) {
		name, err := certfleet.LineageName(certificate)
		if err != nil {
			return nil, nil, err
		}
		chain, key := filepath.Join(dir, "live", name, "fullchain.pem"), filepath.Join(dir, "live", name, "privkey.pem")
		switch l {
		case HAProxy:
			chain, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".pem")
		case PeterSSLers:
			chain, key = filepath.Join(dir, "global", name, "primary", "fullchain.pem"), filepath.Join(dir, "global", name, "primary", "pkey.pem")
		}
		c, err1 := os.ReadFile(chain)
		k, err2 := os.ReadFile(key)
		if errors.Is(err1, fs.ErrNotExist) && errors.Is(err2, fs.ErrNotExist) {
			return nil, nil, nil
		}
		return c, k, errors.Join(err1, err2)
	}
}

func TestTargetPassesTheSuite(t *testing.T) {
	for _, l := range layouts {
		t.Run(string(l), func(t *testing.T) {
			targettest.Run(t, func(t *testing.T) (certfleet.Target, targettest.Reader) {
				dir := filepath.Join(t.TempDir(), "a", "fleet")
				return newTarget(t, Config{Dir: dir, Layout: l}), served(dir, l)
			})
		})
	}
}

// deliver hands over bundles and fails the test on any complaint.
func deliver(t testing.TB, target *Target, bundles ...certfleet.Bundle) {
	t.Helper()
	receipts, err := target.Deliver(t.Context(), bundles, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range receipts {
		if r.Err != nil || !r.Applied {
			t.Fatalf("%s version %d: applied=%v, %v", r.Certificate, r.Version, r.Applied, r.Err)
		}
	}
}

// tree lists a folder as path, mode and link target.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		if to, err := os.Readlink(p); err == nil {
			what = "-> " + to
		}
		rel, _ := filepath.Rel(dir, p)
		out[rel] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLayoutsLieAsDescribedWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for l, want := range map[Layout]map[string]string{
		Certbot: {
			"fleet/live": "drwxr-x---", "fleet/live/_.example.com": "-> ../archive/_.example.com/7", "fleet/archive/_.example.com/7": "drwxr-x---",
			"fleet/archive/_.example.com/7/cert.pem": "-rw-r--r--", "fleet/archive/_.example.com/7/chain.pem": "-rw-r--r--",
			"fleet/archive/_.example.com/7/fullchain.pem": "-rw-r--r--", "fleet/archive/_.example.com/7/privkey.pem": "-rw-r-----",
		},
		HAProxy: {"fleet": "drwxr-x---", "fleet/_.example.com.pem": "-rw-r-----"},
		PeterSSLers: {
			"fleet/global/_.example.com": "-> ../.archive/_.example.com/7", "fleet/.archive/_.example.com/7/primary": "drwxr-x---",
			"fleet/.archive/_.example.com/7/primary/pkey.pem": "-rw-r-----", "fleet/.archive/_.example.com/7/primary/privkey.pem": "-rw-r-----",
			"fleet/.archive/_.example.com/7/primary/cert.pem": "-rw-r--r--",
		},
	} {
		top := t.TempDir()
		target := newTarget(t, Config{Dir: filepath.Join(top, "fleet"), Layout: l, Mode: "0640", DirMode: "0750"})
		deliver(t, target, targettest.Bundle(t, "*.example.com", 7, "*.example.com"))
		got := tree(t, top)
		for p, what := range want {
			if got[p] != what {
				t.Errorf("%s: %s is %q, want %q", l, p, got[p], what)
			}
		}
	}
}

func TestUnchangedContentWritesNothingAndRunsNothing(t *testing.T) {
	for _, l := range layouts {
		top := t.TempDir()
		ran := filepath.Join(top, "ran")
		target := newTarget(t, Config{Dir: filepath.Join(top, "fleet"), Layout: l, Command: []string{"sh", "-c", "echo >> " + ran}})
		b := targettest.Bundle(t, "shop", 1, "shop.example.com")
		deliver(t, target, b)
		target.hook = func(op string) error { t.Errorf("%s: %s", l, op); return nil }
		deliver(t, target, b)
		if lines, _ := os.ReadFile(ran); len(lines) != 1 {
			t.Errorf("%s: the command ran %d times, want once", l, len(lines))
		}
	}
}

func TestModesAreTendedWithoutAChange(t *testing.T) {
	for _, l := range layouts {
		dir := filepath.Join(t.TempDir(), "fleet")
		b := targettest.Bundle(t, "shop", 1, "shop.example.com")
		deliver(t, newTarget(t, Config{Dir: dir, Layout: l}), b)
		deliver(t, newTarget(t, Config{Dir: dir, Layout: l, Mode: "0640"}), b)
		keys := 0
		for p, what := range tree(t, dir) {
			if strings.HasSuffix(p, "key.pem") || p == "shop.pem" {
				keys++
				if what != "-rw-r-----" {
					t.Errorf("%s: %s is %s", l, p, what)
				}
			}
		}
		if keys == 0 {
			t.Errorf("%s: no key was found", l)
		}
	}
}

func TestDamagedFilesAreMadeWholeAgain(t *testing.T) {
	for _, l := range layouts {
		dir := filepath.Join(t.TempDir(), "fleet")
		target := newTarget(t, Config{Dir: dir, Layout: l})
		b := targettest.Bundle(t, "shop", 1, "shop.example.com")
		deliver(t, target, b)
		var key string
		for p := range tree(t, dir) {
			if strings.HasSuffix(p, "privkey.pem") || p == "shop.pem" {
				key = filepath.Join(dir, p)
			}
		}
		if err := os.WriteFile(key, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); certfleet.AdviceOf(err) == "" {
			t.Errorf("%s: holds says %v of an empty key", l, err)
		}
		deliver(t, target, b)
		if fp, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); fp != b.Fingerprint || err != nil {
			t.Errorf("%s: holds %q, %v", l, fp, err)
		}
	}
}

func TestOldGenerationsArePruned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	target := newTarget(t, Config{Dir: dir})
	for v := range int64(12) {
		deliver(t, target, targettest.Bundle(t, "shop", v+1, "shop.example.com"))
	}
	left, _ := filepath.Glob(filepath.Join(dir, "archive", "shop", "*"))
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if !slices.Equal(left, []string{"10", "11", "12"}) {
		t.Errorf("left are %v, want the last three", left)
	}
}

func TestAnotherHistoryIsWelcomeWhenItLivesLonger(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	target := newTarget(t, Config{Dir: dir})
	deliver(t, target, targettest.Bundle(t, "shop", 900, "shop.example.com"))
	b := targettest.Bundle(t, "shop", 2000, "shop.example.com") // lives longer
	b.Version = 1
	deliver(t, target, b)
	if fp, _ := target.Holds(t.Context(), "shop", certfleet.Receipt{}); fp != b.Fingerprint {
		t.Error("a new database can deliver nothing where an old one had been")
	}
}

func TestAPairIsReadBackWithItsKeyAndWelcomeUnderAnotherVersion(t *testing.T) {
	for _, l := range layouts {
		t.Run(string(l), func(t *testing.T) {
			target := newTarget(t, Config{Dir: filepath.Join(t.TempDir(), "fleet"), Layout: l})
			if b, err := target.Read(t.Context(), "shop", certfleet.Receipt{}); b != nil || err != nil {
				t.Fatalf("of nothing it read %+v, %v", b, err)
			}
			want := targettest.Bundle(t, "shop", 9, "shop.example.com")
			deliver(t, target, want)
			got, err := target.Read(t.Context(), "shop", certfleet.Receipt{})
			if err != nil || got.Version != 9 || got.Fingerprint != want.Fingerprint || certfleet.SetKey(got.Names) != certfleet.SetKey(want.Names) {
				t.Fatalf("it read %+v, %v", got, err)
			}
			if _, _, err := pki.ParsePair(got.ChainPEM, got.KeyPEM); err != nil {
				t.Errorf("key and chain do not fit: %v", err)
			}
			got.Version = 3 // as a database gives it that came back from a backup
			deliver(t, target, *got)
		})
	}
}

func TestStrangersAreNeverDestroyed(t *testing.T) {
	for l, p := range map[Layout]string{Certbot: "live/shop", PeterSSLers: "global/shop"} {
		dir := filepath.Join(t.TempDir(), "fleet")
		theirs := filepath.Join(dir, p, "privkey.pem")
		os.MkdirAll(filepath.Dir(theirs), 0o700)
		os.WriteFile(theirs, []byte("theirs"), 0o600)
		target := newTarget(t, Config{Dir: dir, Layout: l})
		receipts, err := target.Deliver(t.Context(), []certfleet.Bundle{targettest.Bundle(t, "shop", 1, "shop.example.com")}, nil)
		if err != nil || certfleet.KindOf(receipts[0].Err) != certfleet.Conflict || certfleet.AdviceOf(receipts[0].Err) == "" {
			t.Errorf("%s: got %v, %v; want a conflict with advice", l, receipts, err)
		}
		if err := target.Remove(t.Context(), "shop", certfleet.Receipt{}); err == nil {
			t.Errorf("%s: a stranger's folder was removed", l)
		}
		if b, _ := os.ReadFile(theirs); string(b) != "theirs" {
			t.Errorf("%s: their key is now %q", l, b)
		}
	}
}

func TestAStrangersCombinedFileIsKeptAside(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "fleet")
	os.Mkdir(dir, 0o700)
	os.WriteFile(filepath.Join(dir, "shop.pem"), []byte("theirs"), 0o600)
	deliver(t, newTarget(t, Config{Dir: dir, Layout: HAProxy}), targettest.Bundle(t, "shop", 1, "shop.example.com"))
	if b, _ := os.ReadFile(filepath.Join(top, ".certfleet-fleet", "shop.before.pem")); string(b) != "theirs" {
		t.Errorf("kept aside is %q", b)
	}
}

func TestLinksLeadToTheirCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	target := newTarget(t, Config{Dir: dir, Layout: PeterSSLers, Links: map[string][]string{"shop": {"rc-12"}}})
	b := targettest.Bundle(t, "shop", 1, "shop.example.com")
	deliver(t, target, b)
	chain, key, err := served(dir, PeterSSLers)("rc-12")
	if _, _, perr := pki.ParsePair(chain, key); err != nil || perr != nil {
		t.Errorf("read by the link: %v, %v", err, perr)
	}
	if err := target.Remove(t.Context(), "shop", certfleet.Receipt{}); err != nil {
		t.Fatal(err)
	}
	if left := tree(t, filepath.Join(dir, "global")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCommandLearnsWhatChanged(t *testing.T) {
	for _, each := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "fleet")
		out := filepath.Join(t.TempDir(), "out")
		target := newTarget(t, Config{Dir: dir, CommandEach: each, Command: []string{"sh", "-c", `echo "$CERTFLEET_LINEAGE|$CERTFLEET_DOMAINS|$RENEWED_LINEAGE|$RENEWED_DOMAINS" >> ` + out}})
		deliver(t, target, targettest.Bundle(t, "a", 1, "a.example.com", "www.a.example.com"), targettest.Bundle(t, "b", 2, "b.example.com"))
		a, b := dir+"/live/a", dir+"/live/b"
		want := fmt.Sprintf("%s\n%s|a.example.com www.a.example.com b.example.com||\n", a, b)
		if each {
			want = fmt.Sprintf("%s|a.example.com www.a.example.com|%s|a.example.com www.a.example.com\n%s|b.example.com|%s|b.example.com\n", a, a, b, b)
		}
		if got, _ := os.ReadFile(out); string(got) != want {
			t.Errorf("each=%v: the command saw\n%s\nwant\n%s", each, got, want)
		}
	}
}

func TestAFailedCommandRunsAgainWithTheNextTry(t *testing.T) {
	for _, l := range layouts {
		dir := filepath.Join(t.TempDir(), "fleet")
		flag := filepath.Join(t.TempDir(), "flag")
		target := newTarget(t, Config{Dir: dir, Layout: l, Command: []string{"sh", "-c", "echo reload went wrong >&2; test -e " + flag}})
		b := targettest.Bundle(t, "shop", 1, "shop.example.com")
		for range 2 {
			r, err := target.Deliver(t.Context(), []certfleet.Bundle{b}, nil)
			if err != nil || r[0].Applied || r[0].Err == nil || !strings.Contains(r[0].Err.Error(), "reload went wrong") {
				t.Fatalf("%s: got %v, %v", l, r, err)
			}
		}
		if fp, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); fp != b.Fingerprint || err != nil {
			t.Errorf("%s: holds %q, %v after a failed command", l, fp, err)
		}
		os.WriteFile(flag, nil, 0o600)
		deliver(t, target, b)
	}
}

func TestLabelsNeverLeaveTheFolderNorMeet(t *testing.T) {
	labels := []string{"a", "A", "..", ".", ".hidden", "../a", "/etc/passwd", "a/b", "a%2Fb", "*.example.com", "_.example.com", "%5F.example.com", "*", "*.", "a b", "a\nb", "a\x00b", "ä", "2001:db8::1", "*.*.x", "_"}
	seen := map[string]string{}
	for _, l := range labels {
		n, err := certfleet.LineageName(l)
		if err != nil || strings.ContainsAny(n, "/\x00\n ") || strings.HasPrefix(n, ".") || seen[n] != "" {
			t.Errorf("label %q became %q (also of %q), %v", l, n, seen[n], err)
		}
		seen[n] = l
	}
	for _, l := range []string{"", strings.Repeat("x", 201), strings.Repeat("/", 100)} {
		if _, err := certfleet.LineageName(l); certfleet.AdviceOf(err) == "" {
			t.Errorf("a label of %d bytes: %v", len(l), err)
		}
	}
}

func TestWritesStayInTheFolder(t *testing.T) {
	out := t.TempDir()
	dir := filepath.Join(t.TempDir(), "fleet")
	os.MkdirAll(filepath.Join(dir, "archive"), 0o700)
	os.Symlink(out, filepath.Join(dir, "archive", "shop")) // somebody's trap
	r, err := newTarget(t, Config{Dir: dir}).Deliver(t.Context(), []certfleet.Bundle{targettest.Bundle(t, "shop", 1, "shop.example.com")}, nil)
	if err != nil || r[0].Err == nil {
		t.Errorf("got %v, %v; want a refusal", r, err)
	}
	if left := tree(t, out); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

func TestConfigIsRefusedWithAdvice(t *testing.T) {
	for _, c := range []Config{
		{}, {Dir: "relative"}, {Dir: "/"}, {Dir: "/x", Layout: "nginx"}, {Dir: "/x", Mode: "0644"}, {Dir: "/x", Mode: "rw"}, {Dir: "/x", Mode: "01777"}, {Dir: "/x", DirMode: "0"},
		{Dir: "/x", Owner: "no-such-user-here"}, {Dir: "/x", Group: "no-such-group-here"}, {Dir: "/x", Layout: PeterSSLers, Factory: "../y"},
		{Dir: "/x", Links: map[string][]string{"a": {"../b"}}}, {Dir: "/x", Layout: HAProxy, Links: map[string][]string{"a": {"b"}}},
	} {
		if _, err := New(c, dial.Deps{}); certfleet.AdviceOf(err) == "" {
			t.Errorf("%+v: got %v, want advice", c, err)
		}
	}
}

func TestOwnersAreSet(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := filepath.Join(t.TempDir(), "fleet")
	deliver(t, newTarget(t, Config{Dir: dir, Owner: "65534", Group: "65534"}), targettest.Bundle(t, "shop", 1, "shop.example.com"))
	for _, p := range []string{".", "live", "archive/shop", "archive/shop/1", "archive/shop/1/privkey.pem", "archive/shop/1/cert.pem"} {
		info, err := os.Stat(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 65534 || st.Gid != 65534 {
			t.Errorf("%s belongs to %d:%d", p, st.Uid, st.Gid)
		}
	}
}

func TestAHeldFolderIsWaitedForOnlySoLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	target := newTarget(t, Config{Dir: dir})
	r, err := target.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	ctx, cancel := contextWithTimeout(t, 100*time.Millisecond)
	defer cancel()
	if _, err := target.Deliver(ctx, []certfleet.Bundle{targettest.Bundle(t, "shop", 1, "shop.example.com")}, nil); certfleet.KindOf(err) != certfleet.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
}
