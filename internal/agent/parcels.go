package agent

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/abreast"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// parcelBytes is how many bytes of parcels are gathered in memory before they go
// live; a batch of that many pairs is sixteen times what the manager sends.
const parcelBytes = 32 << 20

// manyParcels is from how many on they are checked side by side.
const manyParcels = 8

// parcels serves our own pusher: whole lineages, one behind the other, that go live
// out of memory. Nothing of what breaks off is used, and nothing of it is left.
func (s *server) parcels(ctx context.Context, ch ssh.Channel) {
	in, out := bufio.NewReaderSize(ch, 64<<10), bufio.NewWriterSize(ch, 64<<10)
	g := gathering{in: in, most: uint32(min(8*s.a.staging.max, parcelBytes))}
	for g.err == nil {
		batch := g.next()
		if len(batch) == 0 {
			break
		}
		states, live := s.a.take(context.WithoutCancel(ctx), batch)
		if live {
			nudge(s.changed)
		}
		for _, st := range states {
			if err := lineage.Write(out, st); err != nil {
				g.err = err
			}
		}
		out.Flush() // a pusher that went away does not hear it
	}
	if !errors.Is(g.err, io.EOF) {
		s.a.log.Debug("session broke off", "error", g.err)
		return
	}
	ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
}

// gathering reads parcels in batches.
type gathering struct {
	in    io.Reader
	most  uint32          // bytes of one
	spare *lineage.Parcel // read already, for the next batch
	err   error           // io.EOF after the last one
}

// next is a batch of parcels for as many certificates; none when nothing more comes.
// What was whole before the pusher broke off counts.
func (g *gathering) next() (batch []lineage.Parcel) {
	seen, size := map[string]bool{}, 0
	for len(batch) < together && size < parcelBytes {
		p := g.spare
		if g.spare = nil; p == nil {
			p = &lineage.Parcel{}
			if g.err = lineage.Read(g.in, p, g.most); g.err != nil {
				return batch
			}
		}
		if seen[p.Paper.Certificate] {
			g.spare = p
			return batch
		}
		seen[p.Paper.Certificate] = true
		for _, b := range p.Data {
			size += len(b)
		}
		batch = append(batch, *p)
	}
	return batch
}

// take brings parcels to live, says what came of each, and whether anything is live
// that was not.
func (a *Agent) take(ctx context.Context, batch []lineage.Parcel) (states []lineage.State, live bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, now := Report{Problems: map[string]error{}}, time.Now()
	names, all, ready := make([]string, len(batch)), make([]proposal, len(batch)), []proposal{}
	bad := make([]error, len(batch))
	abreast.Do(len(batch), abreast.Lanes(len(batch), manyParcels), func(_, i int) { names[i], all[i], bad[i] = a.unpack(batch[i], now) })
	for i := range batch {
		if bad[i] != nil {
			r.Problems[names[i]] = bad[i]
			continue
		}
		ready = append(ready, all[i])
	}
	a.golive(ctx, ready, &r)
	a.note(names, r)
	a.tell(names, r)
	for i, p := range batch {
		states = append(states, a.stateOf(ctx, p.Paper.Certificate, all[i], r.Problems[names[i]]))
		for _, b := range p.Data {
			clear(b)
		}
	}
	return states, len(r.Live) > 0
}

// unpack checks a parcel.
func (a *Agent) unpack(parcel lineage.Parcel, now time.Time) (name string, p proposal, err error) {
	label := parcel.Paper.Certificate
	if name, err = certfleet.LineageName(label); err != nil {
		return "", p, err
	}
	p = proposal{name: name, label: label, files: parcel.Data, unstaged: true}
	for f, b := range p.files {
		if !a.takes(f) || f == lineage.Manifest || int64(len(b)) > a.staging.max {
			return name, p, invalid("send certificates and keys alone", "%q is no file of a lineage, or too large", f)
		}
	}
	p, err = a.weigh(p, &parcel.Paper, now)
	if err == nil && p.label == "" {
		err = invalid("push again", "the files of %q are not whole", label)
	}
	return name, p, err
}

// stateOf is what a pusher hears about a lineage.
func (a *Agent) stateOf(ctx context.Context, label string, p proposal, problem error) lineage.State {
	if problem == nil {
		return lineage.State{Certificate: label, Fingerprint: p.bundle.Fingerprint, NotAfter: p.bundle.NotAfter.UTC()}
	}
	s := lineage.State{Certificate: label, Problem: problem.Error(), Advice: certfleet.AdviceOf(problem)}
	if held, err := a.live.Holds(ctx, label, certfleet.Receipt{}); err == nil {
		s.Fingerprint = held
	}
	return s
}
