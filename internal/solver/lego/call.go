package lego

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

var errClosed = errors.New("the solver is closed")

// grace is what the child gets over its own deadline before it is killed.
const grace = 5 * time.Second

// call has the child do one thing. When ctx ends first, the caller goes, but
// the child keeps its time: killed in the middle it would forget what it made.
func (s *Solver) call(ctx context.Context, op string, c certfleet.Challenge) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	if err := s.awake(ctx); err != nil {
		s.free()
		return err
	}
	done := make(chan error, 1)
	s.late.Go(func() {
		defer s.free()
		done <- s.ask(op, c)
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s the TXT record for %s: %w", op, c.Name.Base(), ctx.Err())
	}
}

// take waits for the child to be free.
func (s *Solver) take(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case <-s.ended:
		return errClosed
	default:
	}
	select {
	case s.slot <- struct{}{}:
		return nil
	case <-s.ended:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// free lets the next caller in, and begins to count the child's idle time.
func (s *Solver) free() {
	if s.rest != nil {
		s.rest.Stop()
	}
	s.rest = time.AfterFunc(s.idle, s.sleep)
	<-s.slot
}

// sleep ends a child that has nothing of ours at its provider.
func (s *Solver) sleep() {
	select {
	case s.slot <- struct{}{}:
	default:
		return // busy; free counts anew
	}
	defer func() { <-s.slot }()
	if s.child != nil && len(s.child.presented) == 0 {
		s.child.part()
		s.child = nil
	}
}

// awake starts the child unless it runs. The caller holds the slot.
func (s *Solver) awake(ctx context.Context) error {
	if s.child != nil && !s.child.gone() {
		return nil
	}
	if s.child != nil {
		s.log.Warn("dns child ended by itself", "provider", s.config.Provider)
		s.child.kill()
		s.child = nil
	}
	started, err := s.start(ctx)
	s.child = started
	return err
}

// ask puts one request to the child. The caller holds the slot.
func (s *Solver) ask(op string, c certfleet.Challenge) error {
	ch, limit := s.child, time.Duration(s.config.Timeout)
	ch.lastID++
	r, err := ch.exchange(request{ID: ch.lastID, Op: op, Domain: c.Name.Base(), Token: c.Token, KeyAuth: c.KeyAuth, TimeoutMS: limit.Milliseconds()}, limit+grace)
	doing := fmt.Sprintf("%s the TXT record for %s at %s", op, c.Name.Base(), s.config.Provider)
	if err != nil {
		ch.kill() // it answers no more, or no longer in step
		s.child = nil
		return ch.explain(doing, err)
	}
	if r.Error != "" {
		return ch.refusal(doing, r, c)
	}
	if op == "present" {
		ch.presented[key(c)] = true
	} else {
		delete(ch.presented, key(c))
	}
	return nil
}

// refusal is the provider's no, with what is left to do by hand.
func (c *child) refusal(doing string, r response, about certfleet.Challenge) error {
	err := c.explain(doing, errors.New(r.Error))
	if e, ok := errors.AsType[*certfleet.Error](err); ok && r.Remains {
		e.Advice = fmt.Sprintf("delete the TXT value %s at %s at the provider, if it is still there", about.DNSValue(), about.DNSName())
	}
	return err
}

func (c *child) exchange(q request, limit time.Duration) (response, error) {
	line, err := json.Marshal(q)
	if err != nil {
		return response{}, err
	}
	t := time.AfterFunc(limit, c.signal) // a child that reads nothing would block the write
	_, err = c.in.Write(append(line, '\n'))
	if !t.Stop() || err != nil {
		return response{}, errGone
	}
	r, err := c.next(context.Background(), limit)
	if err == nil && r.ID != q.ID {
		err = fmt.Errorf("it answered request %d with %d: %s", q.ID, r.ID, r.Error)
	}
	return r, err
}

// presented reports whether the running child presented the challenge.
func (s *Solver) presented(ctx context.Context, c certfleet.Challenge) (bool, error) {
	if err := s.take(ctx); err != nil {
		return false, err
	}
	defer s.free()
	return s.child != nil && !s.child.gone() && s.child.presented[key(c)], nil
}

// Close waits for the call in flight and ends the child, which cleans up what
// it presented. It takes partTimeout at most beyond the call's own time.
func (s *Solver) Close() error {
	s.once.Do(func() {
		close(s.ended)
		s.slot <- struct{}{} // kept for good
		if s.rest != nil {
			s.rest.Stop()
		}
		if s.child != nil {
			s.child.part()
			s.child = nil
		}
		s.late.Wait()
	})
	return nil
}
