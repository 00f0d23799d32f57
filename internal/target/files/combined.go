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

// prepare leaves all to the end: a file that is replaced has to last before it is
// live, each for itself.
func (f *combined) prepare(c content, before *held) (func() error, error) {
	return func() error {
		was := f.lazy.on
		f.lazy.on = false
		defer func() { f.lazy.on = was }()
		return f.put(c, before)
	}, nil
}

func (f *combined) put(c content, before *held) error {
	if err := f.folder(f.live); err != nil {
		return err
	}
	if before != nil && before.version == 0 {
		if err := f.keepStrange(c.name); err != nil {
			return err
		}
	}
	if err := f.remember(c); err != nil {
		return err
	}
	return f.replace(f.lineage(c.name), f.wanted(c)[c.name+".pem"])
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
	return f.replace(f.recordFile(c.name), b)
}

// replace makes a file whole in the work folder and moves it to its place.
func (f *combined) replace(name string, data []byte) error {
	temp := path.Join(f.work, "making")
	if err := f.clear(temp); err != nil {
		return err
	}
	if err := f.write(temp, data, f.key); err != nil {
		return err
	}
	return f.rename(temp, name)
}

func (f *combined) tend(c content, _ *held) error { return f.disk.tend(f.lineage(c.name), f.key) }

func (f *combined) drop(_, name string) error {
	if err := f.remove(f.lineage(name)); err != nil {
		return err
	}
	return f.remove(f.recordFile(name))
}
