package porter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Watch finds what changed in a certbot folder since it was last taken. It looks
// at the times, sizes and links of the files and opens what changed, no more, so
// that looking often costs little. It is for one goroutine.
type Watch struct {
	Dir   string            // certbot's folder, or its live folder
	taken map[string]string // the marks of what was taken, by lineage
}

// Change is a lineage that is not as it was when it was last taken. With Err its
// pair cannot be used now: certbot may be half through writing it.
type Change struct {
	Lineage
	Err  error
	mark string
}

// Look lists what changed, by name. What is not taken is listed again by the next
// look; an error means that the folder cannot be read.
func (w *Watch) Look() ([]Change, error) {
	live := w.live()
	entries, err := os.ReadDir(live)
	if err != nil {
		return nil, invalid("name certbot's folder, such as /etc/letsencrypt, and let certfleet's user read it", err, "certbot's folder %q cannot be read", live)
	}
	var out []Change
	there := map[string]string{}
	for _, e := range entries {
		name := e.Name()
		mark := markOf(filepath.Join(live, name))
		if mark == "" {
			continue // certbot's README, or a folder without a pair
		}
		if w.taken[name] == mark {
			there[name] = mark
			continue
		}
		out = append(out, read(live, name, mark))
	}
	w.taken = there
	return out, nil
}

// Take notes that the change was dealt with.
func (w *Watch) Take(c Change) { w.taken[c.Name] = c.mark }

func (w *Watch) live() string {
	if filepath.Base(w.Dir) == "live" {
		return w.Dir
	}
	return filepath.Join(w.Dir, "live")
}

// read opens a pair. Its mark is from before: what changes meanwhile is found by
// the next look.
func read(live, name, mark string) Change {
	c := Change{Lineage: Lineage{Name: name}, mark: mark}
	c.Err = c.pair(filepath.Join(live, name, "fullchain.pem"), filepath.Join(live, name, "privkey.pem"))
	if c.Err != nil {
		c.ChainPEM, c.KeyPEM = nil, nil
	}
	return c
}

// markOf says what a lineage's files look like without opening them; empty when
// neither is there.
func markOf(dir string) string {
	var b strings.Builder
	found := false
	for _, f := range []string{"fullchain.pem", "privkey.pem"} {
		path := filepath.Join(dir, f)
		link, _ := os.Readlink(path)
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%s absent;", link)
			continue
		}
		found = true
		fmt.Fprintf(&b, "%s %d %d;", link, info.Size(), info.ModTime().UnixNano())
	}
	if !found {
		return ""
	}
	return b.String()
}
