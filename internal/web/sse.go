package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// slow is how long a listener may take to accept what is sent; who takes longer
// is dropped and comes back where it was.
const slow = 15 * time.Second

// sseWriter writes server-sent events.
type sseWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func newSSE(hc huma.Context) *sseWriter {
	_, w := humago.Unwrap(hc)
	return &sseWriter{w: w, rc: http.NewResponseController(w)}
}

func (s *sseWriter) write(text string) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(slow)) // a writer without deadlines is as good as it is
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}

// id tells where the stream is, so that a break before the first event loses nothing.
func (s *sseWriter) id(c store.EventCursor) error {
	return s.write(fmt.Sprintf(": certfleet\nid: %d-%d\n\n", c.Xact, c.ID))
}

func (s *sseWriter) comment(text string) error { return s.write(": " + text + "\n\n") }

func (s *sseWriter) event(e api.Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", e.Cursor, e.Kind, b))
}
