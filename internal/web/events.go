package web

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/danielgtaylor/huma/v2"
)

func (s *server) eventRoutes() {
	on(s, "GET", "/v1/events", route{certfleet.ScopeRead, "list-events", "events", "List events, newest first", ""}, s.listEvents)
	op := s.operation("GET", "/v1/events/stream", route{certfleet.ScopeRead, "stream-events", "events", "Follow events as they happen",
		"Server-sent events: the id of each is its cursor, the data its JSON. Go on after a break with Last-Event-ID or after."})
	op.Metadata = map[string]any{"stream": true}
	op.Responses = map[string]*huma.Response{"200": {Description: "A stream of events.", Content: map[string]*huma.MediaType{
		"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}}}
	huma.Register(s.api, op, s.stream)
}

func (s *server) listEvents(ctx context.Context, q *api.EventQuery) (*page[api.Event], error) {
	f := store.EventFilter{Tenant: tenant(ctx), Kind: q.Kind, Since: q.Since, Limit: q.Limit}
	var err error
	if f.CertificateID, f.Labels, f.After, err = s.narrow(ctx, q.Certificate, q.Label, q.Cursor); err != nil {
		return nil, err
	}
	rows, next, err := s.DB.Events(ctx, f)
	if err != nil {
		return nil, err
	}
	return paged(ctx, rows, next, api.OfEvent), nil
}

type streamInput struct {
	api.StreamQuery
	LastEventID string `header:"Last-Event-ID" doc:"The same as after, as browsers send it."`
}

// listener is one stream on its way out.
type listener struct {
	s      *server
	by     *certfleet.Token
	tenant int64
	kind   string
	cert   int64
	labels certfleet.Labels
	at     store.EventCursor
	beat   time.Duration
	w      *sseWriter
}

func (s *server) stream(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
	l := &listener{s: s, by: who(ctx), tenant: tenant(ctx), kind: in.Kind, beat: heartbeat}
	var err error
	if l.cert, err = s.certificateID(ctx, in.Certificate); err != nil {
		return nil, s.problemOf(ctx, err)
	}
	if l.labels, err = labels(in.Label); err != nil {
		return nil, s.problemOf(ctx, err)
	}
	if l.at, err = s.beginning(ctx, in); err != nil {
		return nil, s.problemOf(ctx, err)
	}
	feed, leave, err := s.tails.join(ctx, l.tenant)
	if err != nil {
		return nil, s.problemOf(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		hc.SetHeader("Content-Type", "text/event-stream")
		hc.SetHeader("X-Accel-Buffering", "no")
		hc.SetStatus(200)
		l.w = newSSE(hc)
		l.run(hc.Context(), feed)
	}}, nil
}

// beginning is the cursor behind which a stream begins.
func (s *server) beginning(ctx context.Context, in *streamInput) (store.EventCursor, error) {
	after := in.LastEventID
	if after == "" {
		after = in.After
	}
	switch after {
	case "":
		return s.DB.LastEvent(ctx)
	case "start":
		return store.EventCursor{}, nil
	}
	var c store.EventCursor
	if n, err := fmt.Sscanf(after, "%d-%d", &c.Xact, &c.ID); err != nil || n != 2 {
		return c, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the cursor of the stream cannot be read", Advice: "give the cursor of an event, start, or nothing"}
	}
	return c, nil
}

// heartbeat is how often a stream says something when there is nothing to say, and
// looks whether its token still opens anything.
const heartbeat = 15 * time.Second

// run sends what is there already, then what comes, until somebody has enough.
func (l *listener) run(ctx context.Context, feed <-chan batch) {
	if l.w.id(l.at) != nil || l.catchUp(ctx) != nil {
		return
	}
	beat := time.NewTicker(l.beat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if l.ended(ctx) || l.w.comment("alive") != nil {
				return
			}
		case b, ok := <-feed:
			if !ok || l.take(ctx, b) != nil {
				return
			}
		}
	}
}

// ended reports whether the listener's token was revoked or has expired since. A
// store that does not answer ends nothing.
func (l *listener) ended(ctx context.Context) bool {
	if l.by == nil || l.by.Hash == "" {
		return false // a caller in this process
	}
	_, err := l.s.DB.TokenByHash(ctx, l.by.Hash, time.Now())
	return certfleet.KindOf(err) == certfleet.NotFound
}

// take sends a batch, as far as it is new here; one that does not join on to
// what was sent is read from the store.
func (l *listener) take(ctx context.Context, b batch) error {
	switch {
	case !before(l.at, b.to):
		return nil
	case l.at == b.from:
		return l.send(ctx, b.events)
	}
	return l.catchUp(ctx)
}

func before(a, b store.EventCursor) bool { return a.Xact < b.Xact || a.Xact == b.Xact && a.ID < b.ID }

// catchUp sends everything that the store has behind the cursor.
func (l *listener) catchUp(ctx context.Context) error {
	for {
		list, err := l.s.DB.EventsAfter(ctx, l.tenant, l.at, tailPage)
		if err != nil {
			return err
		}
		if err := l.send(ctx, list); err != nil || len(list) < tailPage {
			return err
		}
	}
}

func (l *listener) send(ctx context.Context, list []certfleet.Event) error {
	carries, err := l.carriers(ctx, list)
	if err != nil {
		return err
	}
	for i := range list {
		e := &list[i]
		l.at = store.EventCursor{Xact: e.Xact, ID: e.ID}
		if !l.wants(e) || len(l.labels) > 0 && !carries[e.CertificateID] {
			continue
		}
		if err := l.w.event(api.OfEvent(e)); err != nil {
			return err
		}
	}
	return nil
}

// wants reports whether an event is of the kind and certificate asked for.
func (l *listener) wants(e *certfleet.Event) bool {
	return strings.HasPrefix(e.Kind, l.kind) && (l.cert == 0 || e.CertificateID == l.cert)
}

// carriers are those certificates of the events that carry the labels asked for.
func (l *listener) carriers(ctx context.Context, list []certfleet.Event) (map[int64]bool, error) {
	if len(l.labels) == 0 {
		return nil, nil
	}
	var ids []int64
	for i := range list {
		if l.wants(&list[i]) && list[i].CertificateID != 0 {
			ids = append(ids, list[i].CertificateID)
		}
	}
	return l.s.DB.WhichCarry(ctx, ids, l.labels)
}
