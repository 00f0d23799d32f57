package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// combined is a layout with one file a name, key and full chain, in a folder
// that the server reads whole. Nothing but finished files ever lies in it.
type combined struct {
	disk
	settled
	live string // relative to the root
}

// record remembers which version a file holds, by the fingerprint of its leaf.
// It is written before the file, so that it knows both the old and the new one.
type record struct {
	Generations []generation `json:"generations"`
}

type generation struct {
	Version     int64  `json:"version"`
	Fingerprint string `json:"fingerprint"`
}

func (f *combined) wanted(c content) map[string][]byte {
	return map[string][]byte{c.name + ".pem": append(append([]byte{}, c.key...), c.full()...)}
}

func (f *combined) lineage(name string) string { return path.Join(f.live, name+".pem") }

func (f *combined) read(name string) (*held, error) {
	b, err := readFile(f.root, f.lineage(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := &held{files: map[string][]byte{name + ".pem": b}}
	h.judge(b, b)
	rec, err := f.record(name)
	for _, g := range rec.Generations {
		if g.Fingerprint == h.fingerprint {
			h.version = g.Version
		}
	}
	return h, err
}

func (f *combined) record(name string) (record, error) {
	var r record
	b, err := readFile(f.root, f.recordFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read record of %s: %w", name, err)
	}
	return r, nil
}

func (f *combined) recordFile(name string) string { return path.Join(f.work, name+".json") }

// pairs is the folder in the work folder where files lie that are to go live.
func (f *combined) pairs() string { return path.Join(f.work, "pairs") }

// begin makes the folders that all certificates share, and holds them. What lies
// among the pairs is left from a crash.
func (f *combined) begin() error {
	for _, dir := range []string{f.live, f.pairs()} {
		if err := f.folder(dir); err != nil {
			return err
		}
	}
	if err := f.hold(f.work, f.live, f.pairs()); err != nil {
		return err
	}
	left, err := f.held[f.pairs()].Readdirnames(-1)
	for _, n := range left {
		err = errors.Join(err, f.clear(path.Join(f.pairs(), n)))
	}
	return err
}

func (f *combined) in(lane int) layout {
	l := *f
	l.inLane(lane)
	return &l
}

// prepare writes the record and the file beside what is live.
func (f *combined) prepare(c content, before *held) (func() error, error) {
	if before != nil && before.version == 0 {
		if err := f.keepStrange(c.name); err != nil {
			return nil, err
		}
	}
	if err := f.remember(c); err != nil {
		return nil, err
	}
	temp := path.Join(f.pairs(), c.name+".pem")
	if err := f.anew("write", temp, func() error { return f.write(temp, f.wanted(c)[c.name+".pem"], f.key) }); err != nil {
		return nil, err
	}
	return func() error { return f.rename(temp, f.lineage(c.name)) }, nil
}

// keepStrange keeps a file that somebody else wrote before ours takes its place.
func (f *combined) keepStrange(name string) error {
	kept := path.Join(f.work, name+".before.pem")
	err := f.do("link", kept, func() error { return f.root.Link(f.lineage(name), kept) })
	if errors.Is(err, fs.ErrExist) {
		return nil // kept by an earlier try
	}
	return err
}

func (f *combined) remember(c content) error {
	r, err := f.record(c.name)
	if err != nil {
		return err
	}
	r.Generations = slices.DeleteFunc(r.Generations, func(g generation) bool { return g.Fingerprint == c.fingerprint })
	r.Generations = append(r.Generations, generation{c.version, c.fingerprint})
	r.Generations = r.Generations[max(0, len(r.Generations)-f.Keep):]
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temp := f.making("record")
	if err := f.anew("write", temp, func() error { return f.write(temp, b, f.key) }); err != nil {
		return err
	}
	return f.rename(temp, f.recordFile(c.name))
}

func (f *combined) tend(c content, _ *held) error { return f.disk.tend(f.lineage(c.name), f.key) }

func (f *combined) drop(_, name string) error {
	if err := errors.Join(f.remove(f.lineage(name)), f.barrier()); err != nil {
		return err
	}
	return f.remove(f.recordFile(name))
}
