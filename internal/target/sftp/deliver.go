package sftp

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/abreast"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// load is one bundle on its way.
type load struct {
	bundle certfleet.Bundle
	name   string // of the lineage
	files  []file // in the order in which they are written
}

type file struct {
	name string
	data []byte
}

// manyBundles is from how many on they are checked side by side.
const manyBundles = 8

// Deliver pushes all bundles through one connection. The receipts of an agent
// say what it made of them.
func (t *Target) Deliver(ctx context.Context, bundles []certfleet.Bundle, before []certfleet.Receipt) ([]certfleet.Receipt, error) {
	last := map[string]int64{}
	for _, r := range before {
		last[r.Certificate] = r.Version
	}
	receipts := make([]certfleet.Receipt, len(bundles))
	loads := map[int]load{}
	packed := make([]load, len(bundles))
	abreast.Do(len(bundles), abreast.Lanes(len(bundles), manyBundles), func(_, i int) {
		b := bundles[i]
		receipts[i] = certfleet.Receipt{Certificate: b.Certificate, Version: b.Version, Fingerprint: b.Fingerprint}
		packed[i], receipts[i].Err = t.pack(b, last[b.Certificate])
	})
	for i, l := range packed {
		if receipts[i].Err == nil {
			loads[i] = l
		}
	}
	if len(loads) > 0 {
		t.push(ctx, loads, receipts)
	}
	return receipts, nil
}

// pack checks a bundle and chooses its files.
func (t *Target) pack(b certfleet.Bundle, last int64) (load, error) {
	l := load{bundle: b}
	if last > b.Version && !b.Rollback {
		return l, &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("version %d of %q was pushed, which is newer than %d", last, b.Certificate, b.Version), Advice: "deliver the newer version"}
	}
	var err error
	if l.name, err = certfleet.LineageName(b.Certificate); err != nil {
		return l, err
	}
	all, err := lineage.Split(b)
	if err != nil {
		return l, err
	}
	for _, f := range []struct {
		name   string
		wanted bool
	}{{lineage.Chain, t.c.NeedsChain}, {lineage.FullChain, *t.c.NeedsFullchain}, {lineage.PrivKey, *t.c.NeedsPrivkey}} {
		if f.wanted && len(all[f.name]) > 0 { // an empty file stops certdeploy's client
			l.files = append(l.files, file{f.name, all[f.name]})
		}
	}
	return l, nil
}

// push delivers what was packed, each on its own: one that fails stops no other,
// but a connection that is lost stops all.
func (t *Target) push(ctx context.Context, loads map[int]load, receipts []certfleet.Receipt) {
	ctx, cancel := context.WithTimeout(ctx, whole)
	defer cancel()
	peer, err := t.pushAll(ctx, loads, receipts)
	for i := range loads {
		if receipts[i].Err == nil && err != nil {
			receipts[i].Err = err
		}
		receipts[i].Applied = receipts[i].Err == nil && (peer == OpenSSH || receipts[i].Applied)
	}
}

func (t *Target) pushAll(ctx context.Context, loads map[int]load, receipts []certfleet.Receipt) (Peer, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return "", err
	}
	defer c.close()
	if c.own && !t.filesOnly {
		if taken, err := t.ship(c, loads, receipts); taken || err != nil {
			return c.peer, err
		}
	}
	s, err := t.session(c)
	if err != nil {
		return c.peer, err
	}
	each(loads, c.lanes(), func(i int, l load) {
		receipts[i].Err = t.explain("write "+l.name, t.put(s, c, l))
	})
	s.end(c)
	if c.peer != Agent || ctx.Err() != nil {
		return c.peer, ctx.Err()
	}
	return c.peer, t.confirm(c, loads, receipts)
}

func (t *Target) put(s *session, c *connection, l load) error {
	switch c.peer {
	case Agent:
		return t.putForAgent(s, c, l)
	case Certdeploy:
		return t.putInPlace(s, l)
	}
	return t.putByRename(s, l)
}

// putForAgent writes the files and then the manifest that makes them count.
func (t *Target) putForAgent(s *session, c *connection, l load) error {
	text, err := json.Marshal(l.paper())
	if err != nil {
		return err
	}
	l.files = append(l.files[:len(l.files):len(l.files)], file{lineage.Manifest, text})
	if c.own {
		return t.putBlind(s, l)
	}
	return t.putInPlace(s, l)
}

// paper says what makes the lineage whole.
func (l load) paper() lineage.Paper {
	p := lineage.Paper{Certificate: l.bundle.Certificate, Version: l.bundle.Version, Names: l.bundle.Names, Files: map[string]string{},
		Rollback: l.bundle.Rollback, Again: l.bundle.Again}
	for _, f := range l.files {
		p.Files[f.name] = lineage.Sum(f.data)
	}
	return p
}

// putInPlace writes each file under its own name: STAT, MKDIR, OPEN, WRITE and
// CLOSE are all that certdeploy's client knows.
func (t *Target) putInPlace(s *session, l load) error {
	dir := path.Join(t.c.Path, l.name)
	if err := makeDirs(s, dir); err != nil {
		return err
	}
	for _, f := range l.files {
		if err := write(s, path.Join(dir, f.name), f); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks an agent what it made of what was sent.
func (t *Target) confirm(c *connection, loads map[int]load, receipts []certfleet.Receipt) error {
	s, err := t.session(c)
	if err != nil {
		return err
	}
	defer s.end(c)
	each(loads, c.lanes(), func(i int, l load) {
		if receipts[i].Err != nil {
			return
		}
		// An agent's one-shot sync answers nothing; then it is only sent.
		if state, err := t.status(s, l.name); err == nil {
			heard(&receipts[i], state, l)
		}
	})
	return nil
}

// heard notes what an agent says about a lineage.
func heard(r *certfleet.Receipt, state lineage.State, l load) {
	switch {
	case state.Fingerprint == l.bundle.Fingerprint:
		r.Applied = true
	case state.Problem != "":
		r.Err = &certfleet.Error{Kind: certfleet.Conflict, Msg: "the agent says: " + short(state.Problem), Advice: cmp.Or(short(state.Advice), "correct what the agent complains of")}
	}
}

// status reads what an agent holds.
func (t *Target) status(s *session, name string) (lineage.State, error) {
	var state lineage.State
	b, err := readFile(s, path.Join(t.c.Path, name, lineage.Status))
	if err != nil {
		return state, err
	}
	if err := json.Unmarshal(b, &state); err != nil {
		return state, fmt.Errorf("read the agent's status: %w", err)
	}
	return state, nil
}

// maxRead bounds what is read of a remote file, in bytes.
const maxRead = 1 << 20

func readFile(s *session, name string) ([]byte, error) {
	f, err := s.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxRead))
}

// short bounds what is shown of another machine's words, in bytes.
func short(s string) string {
	if len(s) > 500 {
		return s[:500] + "..."
	}
	return s
}

// fingerprintOf is the leaf's of a chain in PEM form.
func fingerprintOf(text []byte) (string, error) {
	chain, err := pki.ParseChain(text)
	if err != nil {
		return "", err
	}
	return pki.Fingerprint(chain[0]), nil
}
