package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/store"
)

// oneOf refuses a word that a filter does not know: it would find nothing, and
// nothing found reads as good news.
func oneOf(what, got string, words ...string) error {
	if got == "" || slices.Contains(words, got) {
		return nil
	}
	return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%s %q is not known", what, got), Advice: "use one of " + strings.Join(words, ", ")}
}

// writeCursor makes a cursor that says nothing to whom it is given, and fits the
// list and the filters of its request alone.
func writeCursor(ctx context.Context, c store.Cursor) string {
	if c == (store.Cursor{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d.%s", c.At, c.ID, listOf(ctx)))
}

// listOf names the list that is asked for with its filters, in short.
func listOf(ctx context.Context) string {
	u := requestOf(ctx).url
	q := u.Query()
	q.Del("cursor")
	q.Del("limit")
	sum := sha256.Sum256([]byte(u.Path + "?" + q.Encode()))
	return hex.EncodeToString(sum[:6])
}

func readCursor(ctx context.Context, s string) (c store.Cursor, err error) {
	if s == "" {
		return c, nil
	}
	var list string
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%d.%d.%s", &c.At, &c.ID, &list)
	}
	switch {
	case err != nil:
		return store.Cursor{}, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the cursor cannot be read", Advice: "begin again without a cursor"}
	case list != listOf(ctx):
		return store.Cursor{}, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the cursor is of another list, or of other filters", Advice: "give it with the list and filters that it came from, or begin again without a cursor"}
	}
	return c, nil
}

// paged is a page with where the next one is, in the body and as a Link.
func paged[R, W any](ctx context.Context, rows []R, next store.Cursor, of func(*R) W) *page[W] {
	p := &page[W]{Body: api.Page[W]{Items: api.All(rows, of), Next: writeCursor(ctx, next)}}
	if p.Body.Next != "" {
		u := *requestOf(ctx).url
		q := u.Query()
		q.Set("cursor", p.Body.Next)
		u.RawQuery, u.Scheme, u.Host, u.User = q.Encode(), "", "", nil
		p.Link = "<" + u.String() + `>; rel="next"`
	}
	return p
}

// whole is a list that is short enough for one page.
func whole[R, W any](rows []R, of func(*R) W) *page[W] {
	return &page[W]{Body: api.Page[W]{Items: api.All(rows, of)}}
}

// labelled is a list that is short enough for one page, of those rows that carry
// all labels.
func labelled[R, W any](q *api.Labelled, rows []R, of func(*R) certfleet.Labels, wire func(*R) W) (*page[W], error) {
	want, err := labels(q.Label)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r R) bool {
		has := of(&r)
		for k, v := range want {
			if has[k] != v {
				return true
			}
		}
		return false
	})
	return whole(rows, wire), nil
}

// labels reads label filters.
func labels(in []string) (certfleet.Labels, error) {
	out := certfleet.Labels{}
	for _, s := range in {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "a label filter has no key and value", Advice: "write it as key=value, such as label=tenant%3Dacme"}
		}
		out[k] = v
	}
	return out, nil
}

// within is the moment that lies so far ahead, zero for an empty text.
func within(now time.Time, s string) (time.Time, error) {
	d, err := duration(s)
	if err != nil || d == 0 {
		return time.Time{}, err
	}
	return now.Add(d), nil
}

func duration(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	var d certfleet.Duration
	err := d.UnmarshalText([]byte(s))
	return time.Duration(d), err
}
