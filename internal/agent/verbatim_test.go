package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/pki/lineage"
)

func TestVerbatimFolderConvergesAfterACrashBetweenTwoFiles(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.Layout = Verbatim })
	old, next := pair(t, time.Hour, "shop.example"), pair(t, 2*time.Hour, "shop.example")
	k.stage("shop", old, lineage.FullChain, lineage.PrivKey)
	if r := k.sync(); r.Err() != nil || len(r.Live) != 1 {
		t.Fatalf("%+v", r)
	}
	live := filepath.Join(k.c.Dir, "shop")
	// The chain is the new one, the key is not, and a half of it lies beside.
	os.WriteFile(filepath.Join(live, lineage.FullChain), next[lineage.FullChain], 0o644)
	os.WriteFile(filepath.Join(live, ".privkey.pem.new"), next[lineage.PrivKey][:50], 0o600)
	k.stage("shop", next, lineage.FullChain, lineage.PrivKey)
	if r := k.sync(); r.Err() != nil || len(r.Live) != 1 {
		t.Fatalf("%+v", r)
	}
	k.serves("shop", next)
	if entries, _ := os.ReadDir(live); len(entries) != 2 {
		t.Errorf("the folder holds %v", entries)
	}
	k.stage("shop", next, lineage.FullChain, lineage.PrivKey)
	if r := k.sync(); r.Err() != nil || len(r.Live) != 0 {
		t.Errorf("the same again changed something: %+v", r)
	}
}

func TestVerbatimFolderIsNotLeftByALink(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.Layout = Verbatim })
	outside := t.TempDir()
	if err := os.MkdirAll(k.c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(k.c.Dir, "shop")); err != nil {
		t.Fatal(err)
	}
	k.stage("shop", pair(t, time.Hour, "shop.example"), lineage.FullChain, lineage.PrivKey)
	if r := k.sync(); r.Err() == nil {
		t.Error("it was followed")
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("outside lies %v", entries)
	}
}

func TestVerbatimServiceIsOwedAcrossRestartsForWhatIsNoPair(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "calls")
	os.WriteFile(file+".fail", nil, 0o600)
	k := newKit(t, func(c *Config) {
		c.Layout, c.Updaters = Verbatim, settings(t, "updaters:\n"+noting("web", file, ""))
	})
	chain := pair(t, time.Hour, "shop.example")
	k.stage("trust", chain, lineage.Chain)
	if r := k.sync(); r.Err() == nil || len(r.Live) != 1 {
		t.Fatalf("%+v", r)
	}
	k.Close()
	os.Remove(file + ".fail")
	k.open(k.c)
	if r := k.sync(); r.Err() != nil || len(lines(t, file)) != 1 {
		t.Errorf("%v, told %v", r.Err(), lines(t, file))
	}
	if b, err := os.ReadFile(filepath.Join(k.c.Dir, "trust", lineage.Chain)); err != nil || !bytes.Equal(b, chain[lineage.Chain]) {
		t.Errorf("live is another, %v", err)
	}
}
