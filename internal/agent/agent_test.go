package agent

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/target/files"
)

func changed(files map[string][]byte, name string, data []byte) map[string][]byte {
	out := maps.Clone(files)
	out[name] = data
	return out
}

func TestWhatIsWholeGoesLiveAndLeavesStaging(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	first := pair(t, time.Hour, "shop.example")
	for _, only := range [][]string{{lineage.FullChain, lineage.PrivKey}, {lineage.Cert, lineage.Chain, lineage.PrivKey}, nil} {
		k.stage("shop", first, only...)
		r := k.sync()
		if r.Err() != nil || len(r.Live) > 1 {
			t.Fatalf("%v: %+v", only, r)
		}
		k.serves("shop", first)
		if left, err := os.ReadDir(filepath.Join(k.c.Staging, "shop")); err == nil {
			t.Errorf("%v: staging still holds %v", only, left)
		}
	}
	info, err := os.Stat(filepath.Join(k.c.Dir, "live", "shop", "privkey.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v, %v", info, err)
	}
	for _, f := range []string{"cert.pem", "chain.pem", "fullchain.pem"} {
		if b, err := os.ReadFile(filepath.Join(k.c.Dir, "live", "shop", f)); err != nil || !bytes.Equal(b, first[f]) {
			t.Errorf("%s is not as certbot has it: %v", f, err)
		}
	}
	renewed := pair(t, 2*time.Hour, "shop.example")
	k.stage("shop", renewed)
	k.stage("_.example.org", first)
	if r := k.sync(); !slices.Equal(slices.Sorted(slices.Values(r.Live)), []string{"*.example.org", "shop"}) {
		t.Errorf("live are %+v", r)
	}
	k.serves("shop", renewed)
	k.serves("*.example.org", first)
}

// A crash between the last file and its folder leaves the folder.
func TestAFolderInWhichNothingLiesIsTakenAway(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	long := time.Now().Add(-time.Minute)
	for name, when := range map[string]time.Time{"left": long, "written": long, "made": time.Now().Add(-time.Second)} {
		dir := filepath.Join(k.c.Staging, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, when, when); err != nil {
			t.Fatal(err)
		}
	}
	k.staging.hold("written") // a session is about to write there
	if _, err := k.apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if names, err := k.staging.lineages(); err != nil || !slices.Equal(names, []string{"made", "written"}) {
		t.Errorf("staging holds %v, %v", names, err)
	}
	k.staging.release("written")
	k.sync()
	if names, err := k.staging.lineages(); err != nil || len(names) > 0 {
		t.Errorf("after a while staging holds %v, %v", names, err)
	}
}

func TestUnchangedContentChangesNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	files := pair(t, time.Hour, "shop.example")
	k.stage("shop", files)
	k.sync()
	before, err := os.Readlink(filepath.Join(k.c.Dir, "live", "shop"))
	if err != nil {
		t.Fatal(err)
	}
	k.stage("shop", files)
	r := k.sync()
	after, _ := os.Readlink(filepath.Join(k.c.Dir, "live", "shop"))
	if len(r.Live) != 0 || before != after || len(r.Updates) != 0 {
		t.Errorf("%+v; the link led to %s and leads to %s", r, before, after)
	}
}

func TestWhatIsNotGoodStaysOutAndTheLastGoodPairIn(t *testing.T) {
	t.Parallel()
	good, next, other := pair(t, time.Hour, "shop.example"), pair(t, 2*time.Hour, "shop.example"), pair(t, time.Hour, "shop.example")
	expired := pair(t, -time.Minute, "shop.example")
	full := next[lineage.FullChain]
	for name, files := range map[string]map[string][]byte{
		"key of another":  changed(next, lineage.PrivKey, other[lineage.PrivKey]),
		"chain is cut":    changed(next, lineage.FullChain, full[:len(full)-40]),
		"empty chain":     changed(next, lineage.FullChain, nil),
		"empty key":       changed(next, lineage.PrivKey, nil),
		"garbage":         changed(next, lineage.FullChain, []byte("-----BEGIN CERTIFICATE-----\nx\n")),
		"wrong order":     changed(next, lineage.FullChain, append(bytes.Clone(next[lineage.Chain]), next[lineage.Cert]...)),
		"mixed cert.pem":  changed(next, lineage.Cert, other[lineage.Cert]),
		"expired":         expired,
		"broken manifest": changed(next, lineage.Manifest, []byte("{")),
		"names missing":   changed(next, lineage.Manifest, []byte(manifest(next, `"names":["other.example"],`))),
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, nil)
			k.stage("shop", good)
			k.sync()
			k.stage("shop", files)
			k.stage("blog", good)
			r := k.sync()
			refused(t, r.Problems["shop"], certfleet.Invalid)
			if !slices.Equal(r.Live, []string{"blog"}) || r.Err() == nil {
				t.Errorf("%+v; want the other lineage to go live", r)
			}
			k.serves("shop", good)
			os.RemoveAll(filepath.Join(k.c.Staging, "shop"))
			k.stage("shop", next)
			if r := k.sync(); r.Err() != nil {
				t.Errorf("the next run does not converge: %v", r.Err())
			}
			k.serves("shop", next)
		})
	}
}

// manifest writes one by hand; more goes in front of the files.
func manifest(files map[string][]byte, more string) string {
	var sums []string
	for f, b := range files {
		sums = append(sums, `"`+f+`":"`+lineage.Sum(b)+`"`)
	}
	return `{` + more + `"files":{` + strings.Join(sums, ",") + `}}`
}

func TestHalvesWaitForTheRest(t *testing.T) {
	t.Parallel()
	good, next := pair(t, time.Hour, "shop.example"), pair(t, 2*time.Hour, "shop.example")
	k := newKit(t, nil)
	k.stage("shop", good)
	k.sync()
	for name, half := range map[string]map[string][]byte{
		"chain alone":        {lineage.FullChain: next[lineage.FullChain]},
		"key alone":          {lineage.PrivKey: next[lineage.PrivKey]},
		"intermediate alone": {lineage.Chain: next[lineage.Chain]},
		"manifest before the key": {lineage.FullChain: next[lineage.FullChain],
			lineage.Manifest: []byte(manifest(map[string][]byte{lineage.FullChain: next[lineage.FullChain], lineage.PrivKey: next[lineage.PrivKey]}, ""))},
		"empty folder": {},
	} {
		k.stage("shop", half)
		if r := k.sync(); len(r.Live) != 0 || r.Err() != nil {
			t.Errorf("%s: %+v; want it to wait", name, r)
		}
		k.serves("shop", good)
		os.RemoveAll(filepath.Join(k.c.Staging, "shop"))
	}
}

// TestWhatACrashLeftOfAClearingIsTakenAway has each state of staging that a process
// leaves which dies while it takes away what is live.
func TestWhatACrashLeftOfAClearingIsTakenAway(t *testing.T) {
	for _, layout := range []files.Layout{files.Certbot, files.HAProxy, Verbatim} {
		k := newKit(t, func(c *Config) { c.Layout = layout })
		good := pair(t, time.Hour, "shop.example")
		whole := changed(good, lineage.Manifest, []byte(manifest(good, "")))
		k.stage("shop", whole)
		k.sync()
		order := leaving(whole)
		for n := range order {
			k.stage("shop", whole, order[n:]...)
			if r := k.sync(); r.Err() != nil || len(r.Live) > 0 {
				t.Errorf("%s: with %v left: %+v", layout, order[n:], r)
			}
			if left, _ := filepath.Glob(filepath.Join(k.c.Staging, "shop*")); len(left) > 0 {
				t.Errorf("%s: staging still holds %v, where %v was left", layout, left, order[n:])
			}
		}
	}
}

func TestLinksAndStrangeThingsInStagingAreNotFollowed(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	files := pair(t, time.Hour, "shop.example")
	outside := t.TempDir()
	for f, b := range files {
		os.WriteFile(filepath.Join(outside, f), b, 0o600)
	}
	k.stage("real", files)
	for name, to := range map[string]string{"away": outside, "inside": "real", "dangling": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(k.c.Staging, name)); err != nil {
			t.Fatal(err)
		}
	}
	k.stage("linked", files, lineage.FullChain)
	os.Symlink(filepath.Join(outside, lineage.PrivKey), filepath.Join(k.c.Staging, "linked", lineage.PrivKey))
	k.stage("big", changed(files, lineage.FullChain, bytes.Repeat([]byte("x"), 300<<10)))
	os.WriteFile(filepath.Join(k.c.Staging, "plain"), []byte("x"), 0o600)
	os.Mkdir(filepath.Join(k.c.Staging, "bad name"), 0o700)
	r := k.sync()
	if !slices.Equal(r.Live, []string{"real"}) {
		t.Errorf("live are %v", r.Live)
	}
	for _, name := range []string{"away", "inside", "dangling", "linked", "big", "bad name"} {
		if r.Problems[name] == nil {
			t.Errorf("%q is not told of", name)
		}
	}
	if b, err := os.ReadFile(filepath.Join(outside, lineage.PrivKey)); err != nil || !bytes.Equal(b, files[lineage.PrivKey]) {
		t.Errorf("what a link leads to was touched: %v", err)
	}
}

func TestSyncWaitsForWhoeverStillWrites(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	files := pair(t, time.Hour, "shop.example")
	dir := filepath.Join(k.c.Staging, "shop")
	os.MkdirAll(dir, 0o700)
	os.WriteFile(filepath.Join(dir, lineage.FullChain), files[lineage.FullChain], 0o600)
	go func() {
		time.Sleep(300 * time.Millisecond)
		os.WriteFile(filepath.Join(dir, lineage.PrivKey), files[lineage.PrivKey], 0o600)
	}()
	if r := k.sync(); !slices.Equal(r.Live, []string{"shop"}) {
		t.Errorf("%+v", r)
	}
}

func TestRemovalByManifest(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.stage("shop", pair(t, time.Hour, "shop.example"))
	k.sync()
	k.stage("shop", map[string][]byte{lineage.Manifest: []byte(`{"certificate":"shop","remove":true}`)})
	if r := k.sync(); !slices.Equal(r.Removed, []string{"shop"}) || r.Err() != nil {
		t.Errorf("%+v", r)
	}
	k.serves("shop", nil)
}

func TestOtherLayouts(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"haproxy", "peter_sslers"} {
		k := newKit(t, func(c *Config) { c.Layout = "" })
		c := k.c
		c.Layout = "haproxy"
		if layout != "haproxy" {
			c.Layout = "peter_sslers"
		}
		k.Close()
		k.open(c)
		for range 2 {
			files := pair(t, time.Hour, "shop.example")
			k.stage("shop", files)
			if r := k.sync(); !slices.Equal(r.Live, []string{"shop"}) || r.Err() != nil {
				t.Errorf("%s: %+v", layout, r)
			}
			k.serves("shop", files)
			k.stage("shop", files)
			if r := k.sync(); len(r.Live) != 0 {
				t.Errorf("%s: unchanged content went live again", layout)
			}
		}
	}
}

func FuzzStaging(f *testing.F) {
	files := pair(f, time.Hour, "shop.example")
	f.Add("shop", files[lineage.FullChain], files[lineage.PrivKey], []byte(manifest(files, "")))
	f.Add("_.x", []byte("x"), []byte{}, []byte(`{"remove":true}`))
	k := newKit(f, nil)
	f.Fuzz(func(t *testing.T, name string, full, key, paper []byte) {
		if strings.ContainsAny(name, "/\x00") || name == "" || name == "." || name == ".." || len(name) > 200 || name == own {
			return
		}
		dir := filepath.Join(k.c.Staging, name)
		if os.Mkdir(dir, 0o700) != nil {
			return
		}
		defer os.RemoveAll(dir)
		for n, b := range map[string][]byte{lineage.FullChain: full, lineage.PrivKey: key, lineage.Manifest: paper} {
			if len(b) > 0 {
				os.WriteFile(filepath.Join(dir, n), b, 0o600)
			}
		}
		r, err := k.apply(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, label := range r.Live {
			if b := k.liveBundle(label); b.Fingerprint == "" {
				t.Errorf("%q went live and is no pair", label)
			}
		}
	})
}
