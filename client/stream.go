package client

import (
	"bufio"
	"context"
	"encoding/json"
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
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		watch := time.AfterFunc(silence, cancel)
		defer watch.Stop()
		res, err := c.send(ctx, "GET", "/v1/events/stream", q, nil, "text/event-stream")
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer res.Body.Close()
		err = readStream(res.Body, func() { watch.Reset(silence) }, func(e Event) bool { return yield(e, nil) })
		if err != nil {
			yield(Event{}, unanswered(c.base, err))
		}
	}
}

// Follow is Stream that begins again by itself when it breaks off, with growing
// pauses. It ends with ctx, or when the server refuses.
func (c *Client) Follow(ctx context.Context, q StreamQuery) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
			for e, err := range c.Stream(ctx, q) {
				if err != nil && (ctx.Err() != nil || certfleet.KindOf(err) != certfleet.Unreachable) {
					yield(Event{}, err)
					return
				}
				if err != nil {
					break
				}
				q.After, wait = e.Cursor, time.Second
				if !yield(e, nil) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}
}

// readStream reads server-sent events; alive is called for every line, also for
// those that say nothing. It ends without an error when each says stop.
func readStream(r io.Reader, alive func(), each func(Event) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var data strings.Builder
	for lines.Scan() {
		alive()
		line := lines.Text()
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
