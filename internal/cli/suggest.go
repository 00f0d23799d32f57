package cli

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

// similar adds to the error about an unknown label which labels are like it.
func (p *program) similar(ctx context.Context, err error, word string, labels func(context.Context, *client.Client, string) []string) error {
	e, ok := err.(*certfleet.Error)
	if !ok || e.Kind != certfleet.NotFound || labels == nil {
		return err
	}
	c, cerr := p.client(ctx)
	if cerr != nil {
		return err
	}
	ctx, cancel := bounded(ctx, brief)
	defer cancel()
	near := nearby(word, labels(ctx, c, word))
	if len(near) == 0 {
		return err
	}
	out := *e
	out.Advice = "did you mean " + strings.Join(near, ", or ") + "?"
	return &out
}

// certificateLabels are labels that may have been meant: what a search for a
// part of the word finds, and the first thousand of all.
func certificateLabels(ctx context.Context, c *client.Client, word string) []string {
	var out []string
	for _, part := range parts(word) {
		hits, err := c.Search(ctx, client.SearchQuery{Q: part, Limit: 50})
		if err != nil {
			break
		}
		for _, h := range hits {
			out = append(out, h.Certificate)
		}
	}
	return append(out, first(c.Certificates(ctx, client.CertificateQuery{Paging: client.Paging{Limit: 1000}}), func(x client.Certificate) string { return x.Label })...)
}

// parts are the word and what remains of it without its first label.
func parts(word string) []string {
	if _, rest, ok := strings.Cut(word, "."); ok && len(rest) > 3 {
		return []string{word, rest}
	}
	return []string{word}
}

func targetLabels(ctx context.Context, c *client.Client, _ string) []string {
	return first(c.Targets(ctx, client.TargetQuery{}), func(x client.Target) string { return x.Label })
}

func policyLabels(ctx context.Context, c *client.Client, _ string) []string {
	return first(values(c.Policies(ctx)), func(x client.Policy) string { return x.Label })
}

func authorityLabels(ctx context.Context, c *client.Client, _ string) []string {
	return first(values(c.Authorities(ctx)), func(x client.Authority) string { return x.Label })
}

func accountLabels(ctx context.Context, c *client.Client, _ string) []string {
	return first(values(c.Accounts(ctx)), func(x client.Account) string { return x.Label })
}

func tokenLabels(ctx context.Context, c *client.Client, _ string) []string {
	return first(values(c.Tokens(ctx)), func(x client.Token) string { return x.Label })
}

// first takes a thousand labels at most; whoever guesses needs no more.
func first[T any](all iter.Seq2[T, error], label func(T) string) []string {
	var out []string
	for v, err := range all {
		if err != nil || len(out) == 1000 {
			break
		}
		out = append(out, label(v))
	}
	return out
}

// nearby are at most three words that are like the one that was written.
func nearby(word string, known []string) []string {
	slices.Sort(known)
	known = slices.Compact(known)
	word = strings.ToLower(word)
	limit := max(2, len(word)/4)
	type near struct {
		word string
		far  int
	}
	var out []near
	for _, k := range known {
		far := distance(word, strings.ToLower(k))
		if len(word) > 2 && strings.Contains(strings.ToLower(k), word) {
			far = min(far, 1)
		}
		if k != "" && far <= limit {
			out = append(out, near{k, far})
		}
	}
	slices.SortStableFunc(out, func(a, b near) int { return a.far - b.far })
	var words []string
	for _, n := range out[:min(3, len(out))] {
		words = append(words, n.word)
	}
	return words
}

// nearest is the one word that was most likely meant, or empty.
func nearest(word string, known []string) string {
	if near := nearby(word, known); len(near) > 0 {
		return near[0]
	}
	return ""
}

// distance counts the letters to add, remove, change or swap with their neighbour
// to make b of a (Damerau and Levenshtein's, each letter touched once).
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(next[j]+1, row[j+1]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// number reads an id.
func number(what, s string) (int64, error) {
	var n int64
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil || fmt.Sprint(n) != s || n <= 0 {
		return 0, invalid("write the number that the list shows", "%q is not the id of %s", s, what)
	}
	return n, nil
}
