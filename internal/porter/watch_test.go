package porter

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestAWatchFindsWholeNewPairsOnce(t *testing.T) {
	for _, sub := range []string{"", "live"} {
		dir := t.TempDir()
		lineage(t, dir, "shop", 1, "", "shop.example")
		lineage(t, dir, "blog", 1, "", "blog.example")
		put(t, filepath.Join(dir, "live", "README"), []byte("This directory contains your keys"))
		w := &Watch{Dir: filepath.Join(dir, sub)}
		look := func(what string, want ...string) []Change {
			t.Helper()
			got, err := w.Look()
			if err != nil || len(got) != len(want) {
				t.Fatalf("%s: %d changes, %v; want %v", what, len(got), err, want)
			}
			for i, c := range got {
				if c.Name != want[i] {
					t.Errorf("%s: %q, want %q", what, c.Name, want[i])
				}
			}
			return got
		}
		for _, c := range look("at first", "blog", "shop") {
			if c.Err != nil || !c.Whole() {
				t.Errorf("%s: %v", c.Name, c.Err)
			}
			if c.Name == "blog" {
				w.Take(c)
			}
		}
		w.Take(look("what was not taken comes again", "shop")[0])
		look("nothing changed")

		// The links of a renewal are moved one after the other.
		link := filepath.Join(dir, "live", "shop", "privkey.pem")
		lineage(t, dir, "shop", 2, "", "shop.example")
		os.Remove(link)
		os.Symlink("../../archive/shop/privkey1.pem", link)
		half := look("half written", "shop")[0]
		if half.Err == nil || len(half.KeyPEM) > 0 || len(half.ChainPEM) > 0 {
			t.Errorf("half written: %v, %d bytes of key", half.Err, len(half.KeyPEM))
		}
		os.Remove(link)
		os.Symlink("../../archive/shop/privkey2.pem", link)
		if c := look("whole again", "shop")[0]; c.Err != nil {
			t.Error(c.Err)
		} else {
			w.Take(c)
		}
		os.RemoveAll(filepath.Join(dir, "live", "shop"))
		look("gone")
		lineage(t, dir, "shop", 2, "", "shop.example")
		look("back", "shop")
	}
}

func TestAWatchSaysThatItsFolderCannotBeRead(t *testing.T) {
	w := &Watch{Dir: filepath.Join(t.TempDir(), "nowhere")}
	if _, err := w.Look(); certfleet.KindOf(err) != certfleet.Invalid || certfleet.AdviceOf(err) == "" {
		t.Errorf("got %v", err)
	}
}
