package files

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
)

// folders is a layout in which a name is one symbolic link to the folder of a
// generation, so that key and chain change in one rename.
type folders struct {
	disk
	settled
	live, archive string // relative to the root
	sub           string // below a generation
}

func (f *folders) wanted(c content) map[string][]byte {
	files := map[string][]byte{"cert.pem": c.leaf, "chain.pem": c.chain, "fullchain.pem": c.full(), "privkey.pem": c.key}
	if f.Layout == PeterSSLers {
		files["pkey.pem"] = c.key
	}
	return files
}

func (f *folders) lineage(name string) string { return path.Join(f.live, name) }

// read answers what the link of name leads to; nil when there is none.
func (f *folders) read(name string) (*held, error) {
	to, err := f.readlink(path.Join(f.live, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, f.foreign(name, err)
	}
	generation, ours := strings.CutPrefix(path.Join(f.live, to), path.Join(f.archive, name)+"/")
	if !ours || strings.Contains(generation, "/") {
		return nil, f.foreign(name, nil)
	}
	h := &held{generation: generation, version: versionOf(generation)}
	h.files, err = f.contents(name, generation)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	h.judge(h.files["fullchain.pem"], h.files["privkey.pem"])
	return h, nil
}

func (f *folders) foreign(name string, err error) error {
	p := path.Join(f.Dir, f.live, name)
	return &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("%s was not made by certfleet", p), Advice: "import what is there, then move it away, or deliver to another folder", Err: err}
}

func (f *folders) contents(name, generation string) (map[string][]byte, error) {
	files := map[string][]byte{}
	dir, err := f.root.OpenRoot(path.Join(f.archive, name, generation, f.sub))
	if err != nil {
		return files, err
	}
	defer dir.Close()
	for _, n := range slices.Sorted(maps.Keys(f.wanted(content{}))) {
		b, err := readFile(dir, n)
		if err != nil {
			return files, err
		}
		files[n] = b
	}
	return files, nil
}

func readFile(root *os.Root, name string) ([]byte, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, 1<<20))
}

// begin makes the folders that all certificates share, and holds them.
func (f *folders) begin() error {
	for _, dir := range []string{f.live, f.archive} {
		if err := f.folder(dir); err != nil {
			return err
		}
	}
	return f.hold(f.work, f.live, f.archive)
}

func (f *folders) in(lane int) layout {
	l := *f
	l.inLane(lane)
	return &l
}

// prepare makes the generation whole; golive lets the link lead to it.
func (f *folders) prepare(c content, before *held) (func() error, error) {
	generation, err := f.generation(c)
	if err != nil {
		return nil, err
	}
	return func() error { return f.golive(c, generation, before == nil) }, nil
}

// golive lets the link lead to a generation. Of the first one there is nothing to
// prune; what a crash left goes with the next.
func (f *folders) golive(c content, generation string, first bool) error {
	to := path.Join(strings.Repeat("../", 1+strings.Count(f.live, "/"))+f.archive, c.name, generation)
	if err := f.point(to, path.Join(f.live, c.name), !first); err != nil {
		return err
	}
	if err := f.link(c.label, c.name); err != nil || first {
		return err
	}
	return f.prune(c.name, generation)
}

// generation answers the folder that holds c, which a crash may have left.
func (f *folders) generation(c content) (string, error) {
	known, err := f.there(path.Join(f.archive, c.name))
	if err != nil {
		return "", err
	}
	if !known {
		g := strconv.FormatInt(c.version, 10)
		return g, f.make(c, g, path.Join(f.archive, c.name), g)
	}
	for n := 0; ; n++ {
		g := strconv.FormatInt(c.version, 10)
		if n > 0 {
			g += "." + strconv.Itoa(n)
		}
		there, err := f.there(path.Join(f.archive, c.name, g))
		if err != nil {
			return "", err
		}
		if !there {
			return g, f.make(c, g, path.Join(f.archive, c.name, g), "")
		}
		if files, err := f.contents(c.name, g); err == nil && maps.EqualFunc(files, f.wanted(c), bytes.Equal) {
			return g, f.lasts(c.name, g)
		}
	}
}

// make makes a generation beside what is live and moves it to its place: of the
// first one the folder of its certificate, within which it is, else itself.
func (f *folders) make(c content, generation, place, within string) error {
	making := f.making("making")
	in, err := f.nest(making, split(path.Join(within, f.sub))...)
	if err != nil {
		return err
	}
	defer in.Close()
	files := f.wanted(c)
	for _, n := range slices.Sorted(maps.Keys(files)) {
		if err := f.writeIn(int(in.Fd()), path.Join(making, within, f.sub, n), files[n], f.mode(n)); err != nil {
			return err
		}
	}
	if err := f.rename(making, place); err != nil {
		return err
	}
	return f.lasts(c.name, generation)
}

// lasts has the folders of a generation last.
func (f *folders) lasts(name, generation string) error {
	for dir := path.Join(f.archive, name, generation, f.sub); dir != f.archive; dir = path.Dir(dir) {
		f.sync(dir)
	}
	return nil
}

func split(within string) []string {
	if within == "" {
		return nil
	}
	return strings.Split(within, "/")
}

func (f *folders) mode(file string) fs.FileMode {
	if file == "privkey.pem" || file == "pkey.pem" {
		return f.key
	}
	return certMode
}

// tend gives what is there the owners, modes and links that are wanted now.
func (f *folders) tend(c content, h *held) error {
	for n := range h.files {
		if err := f.disk.tend(path.Join(f.archive, c.name, h.generation, f.sub, n), f.mode(n)); err != nil {
			return err
		}
	}
	return f.link(c.label, c.name)
}

// link makes the certificate's further names.
func (f *folders) link(label, name string) error {
	for _, l := range f.Links[label] {
		at := path.Join(f.live, l)
		to, err := f.readlink(at)
		if err == nil && to == name {
			continue
		}
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f.foreign(l, err)
		}
		if err := f.point(name, at, false); err != nil {
			return err
		}
	}
	return nil
}

// prune keeps the generation in use and the newest others.
func (f *folders) prune(name, current string) error {
	dir, err := f.root.Open(path.Join(f.archive, name))
	if err != nil {
		return err
	}
	defer dir.Close()
	all, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	var old []string
	for _, e := range all {
		if e.IsDir() && e.Name() != current && versionOf(e.Name()) > 0 {
			old = append(old, e.Name())
		}
	}
	slices.SortFunc(old, func(a, b string) int { return cmp.Or(cmp.Compare(versionOf(b), versionOf(a)), strings.Compare(b, a)) })
	for _, g := range old[min(len(old), f.Keep-1):] {
		if err := f.clear(path.Join(f.archive, name, g)); err != nil {
			return err
		}
	}
	return nil
}

// drop takes the links away first, for good, so that nothing leads to what is removed.
func (f *folders) drop(label, name string) error {
	for _, l := range f.Links[label] {
		if to, err := f.root.Readlink(path.Join(f.live, l)); err == nil && to == name {
			if err := f.clear(path.Join(f.live, l)); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(f.remove(path.Join(f.live, name)), f.barrier()); err != nil {
		return err
	}
	return f.remove(path.Join(f.archive, name))
}

// versionOf reads a generation's name, "12" or "12.1"; zero when it is none.
func versionOf(generation string) int64 {
	s, _, _ := strings.Cut(generation, ".")
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
