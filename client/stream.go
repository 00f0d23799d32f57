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
// id that a finished block sets or nothing. It ends without an error when each
// says stop.
func readStream(r io.Reader, alive func(id string), each func(Event) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var data, id string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "data":
			data += value
		}
		if lines.Text() != "" {
			alive("")
			continue
		}
		more, err := hand(data, each)
		if err != nil || !more {
			return err
		}
		alive(id)
		data, id = "", ""
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// hand gives one event on, if there is one.
func hand(data string, each func(Event) bool) (more bool, err error) {
	if data == "" {
		return true, nil
	}
	var e Event
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		return false, fmt.Errorf("read an event: %w", err)
	}
	return each(e), nil
}
