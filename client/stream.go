package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
)

// silence is how long a stream may say nothing: the server sends a heartbeat
// every 15 seconds.
const silence = time.Minute

// maxLine bounds one line of a stream, in bytes.
const maxLine = 1 << 20

// Stream yields events as they happen, beginning where the query says, until
// ctx ends. A stream that breaks off yields the error as its last; begin a new
// one after the Cursor of the last event and nothing is lost.
func (c *Client) Stream(ctx context.Context, q StreamQuery) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := c.stream(ctx, &q, func(e Event) bool { return yield(e, nil) }); err != nil {
			yield(Event{}, err)
		}
	}
}

// errSilent ends a stream that says nothing any more.
var errSilent = errors.New("the stream fell silent")

// stream reads one stream and keeps q.After at what was seen last. It returns
// without an error only when each says stop.
func (c *Client) stream(ctx context.Context, q *StreamQuery, each func(Event) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watch.Stop()
	res, err := c.send(ctx, "GET", "/v1/events/stream", *q, nil, "text/event-stream")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	err = readStream(res.Body, func(id string) {
		watch.Reset(silence)
		if id != "" {
			q.After = id
		}
	}, each)
	if errors.Is(context.Cause(ctx), errSilent) {
		err = errSilent
	}
	return unanswered(c.base, err)
}

// Follow is Stream that begins again by itself when it breaks off, with growing
// pauses. It ends with ctx, or when the server refuses.
func (c *Client) Follow(ctx context.Context, q StreamQuery) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
			err := c.stream(ctx, &q, func(e Event) bool { wait = time.Second; return yield(e, nil) })
			if err == nil {
				return
			}
			if ctx.Err() != nil || certfleet.KindOf(err) != certfleet.Unreachable {
				yield(Event{}, err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}
}

// readStream reads server-sent events; alive is called for every line, with the
// id that it sets or nothing. It ends without an error when each says stop.
func readStream(r io.Reader, alive func(id string), each func(Event) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var data strings.Builder
	for lines.Scan() {
		line := lines.Text()
		id, _ := strings.CutPrefix(line, "id:")
		if id == line {
			id = ""
		}
		alive(strings.TrimSpace(id))
		if rest, ok := strings.CutPrefix(line, "data:"); ok {
			data.WriteString(strings.TrimPrefix(rest, " "))
			continue
		}
		if line != "" || data.Len() == 0 {
			continue
		}
		var e Event
		if err := json.Unmarshal([]byte(data.String()), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		data.Reset()
		if !each(e) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
