// Package child answers a parent's requests to present and clean up TXT
// records, one line of JSON each, with one of lego's DNS providers.
//
// The protocol is drawn in the parent's package, internal/solver/lego of the
// main module; the types are repeated here because this module needs none of that.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/go-acme/lego/v5/challenge"
)

// Protocol is the version of the lines that are spoken.
const Protocol = 1

// The bounds of one request, and of cleaning up after the parent's death.
const (
	maxLine     = 64 << 10 // bytes
	defaultTime = 3 * time.Minute
	partTime    = 25 * time.Second // a little less than the parent waits
)

type request struct {
	ID        uint64 `json:"id"`
	Op        string `json:"op"`
	Domain    string `json:"domain"`
	Token     string `json:"token"`
	KeyAuth   string `json:"key_auth"`
	TimeoutMS int64  `json:"timeout_ms"`
}

type response struct {
	ID      uint64 `json:"id,omitempty"`
	Hello   *Hello `json:"hello,omitempty"`
	Error   string `json:"error,omitempty"`
	Remains bool   `json:"remains,omitempty"`
}

// Hello is the child's first line.
type Hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	Provider string `json:"provider"`
}

// record is one TXT value at the provider.
type record struct{ domain, token, keyAuth string }

type session struct {
	provider  challenge.Provider
	presented map[record]bool
}

// Refuse is what a child says that cannot begin.
func Refuse(out io.Writer, err error) error {
	return json.NewEncoder(out).Encode(response{Error: err.Error()})
}

// Serve greets and answers until in ends, then cleans up what it presented.
func Serve(in io.Reader, out io.Writer, version, name string, p challenge.Provider) error {
	s := &session{provider: p, presented: map[record]bool{}}
	defer s.part()
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	lines.Buffer(nil, maxLine)
	if err := answers.Encode(response{Hello: &Hello{Protocol: Protocol, Version: version, Provider: name}}); err != nil {
		return fmt.Errorf("greet the parent: %w", err)
	}
	for lines.Scan() {
		if err := answers.Encode(s.answer(lines.Bytes())); err != nil {
			return fmt.Errorf("answer the parent: %w", err)
		}
	}
	return lines.Err()
}

func (s *session) answer(line []byte) response {
	var q request
	if json.Unmarshal(line, &q) != nil { // whose error would quote the line
		return response{Error: "the request is not the JSON that is spoken here"}
	}
	limit := time.Duration(q.TimeoutMS) * time.Millisecond
	if limit <= 0 {
		limit = defaultTime
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r := record{q.Domain, q.Token, q.KeyAuth}
	switch q.Op {
	case "present":
		return respond(q.ID, s.present(ctx, r), false)
	case "cleanup":
		err := s.cleanUp(ctx, r)
		return respond(q.ID, err, err != nil)
	}
	return response{ID: q.ID, Error: fmt.Sprintf("operation %q is not known", q.Op)}
}

func respond(id uint64, err error, remains bool) response {
	if err != nil {
		return response{ID: id, Error: err.Error(), Remains: remains}
	}
	return response{ID: id}
}

// present does nothing for a record that stands: a second one with a second id
// would leave the first without anybody who knows its id.
func (s *session) present(ctx context.Context, r record) error {
	if s.presented[r] {
		return nil
	}
	if err := s.provider.Present(ctx, r.domain, r.token, r.keyAuth); err != nil {
		return err
	}
	s.presented[r] = true
	return nil
}

// cleanUp deletes the record. One that another child presented may need its id,
// which presenting it once more brings back at many providers.
func (s *session) cleanUp(ctx context.Context, r record) error {
	err := s.provider.CleanUp(ctx, r.domain, r.token, r.keyAuth)
	if err == nil {
		delete(s.presented, r)
		return nil
	}
	if s.presented[r] {
		return err
	}
	if again := s.provider.Present(ctx, r.domain, r.token, r.keyAuth); again != nil {
		return fmt.Errorf("%w; presented again to learn the record's id: %w", err, again)
	}
	s.presented[r] = true
	if err := s.provider.CleanUp(ctx, r.domain, r.token, r.keyAuth); err != nil {
		return err
	}
	delete(s.presented, r)
	return nil
}

// part cleans up, for all records together in bounded time.
func (s *session) part() {
	ctx, cancel := context.WithTimeout(context.Background(), partTime)
	defer cancel()
	for r := range s.presented {
		s.provider.CleanUp(ctx, r.domain, r.token, r.keyAuth)
	}
}
