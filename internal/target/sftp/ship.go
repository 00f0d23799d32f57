package sftp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// maxState bounds what an agent says about one lineage, in bytes.
const maxState = 64 << 10

// ship sends all loads to our agent as parcels, and hears what came of each: two
// messages for a lineage, where SFTP needs thirteen. An agent of an older release
// takes none.
func (t *Target) ship(c *connection, loads map[int]load, receipts []certfleet.Receipt) (taken bool, err error) {
	s, err := c.ssh.NewSession()
	if err != nil {
		return false, t.explain("open a session", err)
	}
	defer s.Close()
	in, err := s.StdinPipe()
	if err != nil {
		return false, err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return false, err
	}
	if s.RequestSubsystem(lineage.Subsystem) != nil {
		return false, nil
	}
	done := make(chan struct{})
	defer close(done)
	go c.alive(done) // an agent is silent while it works
	order := slices.Sorted(maps.Keys(loads))
	sent := make(chan error, 1)
	go func() { sent <- send(in, order, loads) }()
	n, err := hear(out, order, loads, receipts)
	if err != nil {
		s.Close() // which ends the sending too
	}
	if failed := <-sent; failed != nil && errors.Is(err, io.EOF) {
		err = failed // says more than that the agent ended
	}
	for _, i := range order[n:] {
		receipts[i].Err = t.explain("push "+loads[i].name+" to the agent", err)
	}
	return true, nil
}

func send(in io.WriteCloser, order []int, loads map[int]load) error {
	w := bufio.NewWriterSize(in, 32<<10)
	for _, i := range order {
		l := loads[i]
		p := lineage.Parcel{Paper: l.paper(), Data: map[string][]byte{}}
		for _, f := range l.files {
			p.Data[f.name] = f.data
		}
		if err := lineage.Write(w, p); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return in.Close()
}

// hear reads the agent's answers, which come in the order of the loads, and says
// how many there were.
func hear(out io.Reader, order []int, loads map[int]load, receipts []certfleet.Receipt) (n int, err error) {
	r := bufio.NewReader(out)
	for n, i := range order {
		var state lineage.State
		err := lineage.Read(r, &state, maxState)
		if err == nil && state.Certificate != loads[i].bundle.Certificate {
			err = fmt.Errorf("the agent speaks of %q instead of %q", short(state.Certificate), loads[i].bundle.Certificate)
		}
		if err != nil {
			return n, err
		}
		heard(&receipts[i], state, loads[i])
	}
	return len(order), nil
}
