package work

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// The bounds of what Queue tells.
const (
	mostRunning = 500
	mostTrouble = 100
)

// Queue is what the queue knows and the rows do not.
type Queue struct {
	Running []Running // by all nodes that share the queue, the longest first
	Trouble []Trouble // the newest first
}

// Trouble is work that went wrong before it could say so on its row.
type Trouble struct {
	Kind    string
	ID      int64
	Node    string // that tried last
	Tries   int
	Problem string // without secrets, at most a few hundred characters
	At      time.Time
	NextAt  time.Time // zero when it is given up, and queued anew if it is found due
}

// Queue tells what runs and what went wrong: on PostgreSQL of all nodes that share
// the queue, beside SQLite of this process. What other nodes run includes orders that
// wait there for their turn. It is nothing but Running where Run does not run.
func (w *Work) Queue(ctx context.Context) (Queue, error) {
	out := Queue{Running: w.Running()}
	w.mu.Lock()
	q := w.at
	w.mu.Unlock()
	if q == nil {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	others, err := q.others(ctx)
	if err != nil {
		return out, fmt.Errorf("ask what other nodes work on: %w", err)
	}
	out.Running = append(out.Running, others...)
	slices.SortStableFunc(out.Running, func(a, b Running) int { return a.Since.Compare(b.Since) })
	if out.Trouble, err = q.trouble(ctx); err != nil {
		return out, fmt.Errorf("ask what went wrong: %w", err)
	}
	return out, nil
}

// others is what the other nodes have begun.
func (q *queue) others(ctx context.Context) (list []Running, err error) {
	if !q.w.DB.Postgres() {
		return nil, nil
	}
	got, err := q.river.JobList(ctx, river.NewJobListParams().States(rivertype.JobStateRunning).First(mostRunning))
	if err != nil {
		return nil, err
	}
	for _, j := range got.Jobs {
		if p, ok := rowOf(j); ok && lastOf(j) != q.id && j.AttemptedAt != nil {
			list = append(list, Running{Kind: p.kind, ID: p.id, Since: *j.AttemptedAt, Node: node(who(lastOf(j)))})
		}
	}
	return list, nil
}

// trouble is what failed and is tried again, or was given up lately. Of a row that
// was queued anew since only the newest is told.
func (q *queue) trouble(ctx context.Context) ([]Trouble, error) {
	live := river.NewJobListParams().States(rivertype.JobStateAvailable, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled).
		Where("errors IS NOT NULL").First(mostTrouble)
	given := river.NewJobListParams().States(rivertype.JobStateDiscarded).OrderBy(river.JobListOrderByFinalizedAt, river.SortOrderDesc).First(mostTrouble)
	by := map[row]Trouble{}
	for _, params := range []*river.JobListParams{live, given} {
		got, err := q.river.JobList(ctx, params)
		if err != nil {
			return nil, err
		}
		for _, j := range got.Jobs {
			p, ok := rowOf(j)
			if t := troubleOf(p, j); ok && t.At.After(by[p].At) {
				by[p] = t
			}
		}
	}
	list := slices.SortedFunc(maps.Values(by), func(a, b Trouble) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	return list[:min(len(list), mostTrouble)], nil
}

func troubleOf(p row, j *rivertype.JobRow) Trouble {
	t := Trouble{Kind: p.kind, ID: p.id, Node: node(who(lastOf(j))), Tries: len(j.Errors)}
	if len(j.Errors) > 0 {
		last := j.Errors[len(j.Errors)-1]
		t.At, t.Problem = last.At, clean(last.Error)
	}
	if j.State != rivertype.JobStateDiscarded {
		t.NextAt = j.ScheduledAt
	}
	return t
}

func rowOf(j *rivertype.JobRow) (row, bool) {
	var p job
	err := json.Unmarshal(j.EncodedArgs, &p)
	return row{p.Of, p.ID}, err == nil && j.Kind == ours
}

// lastOf is the client that tried a job last.
func lastOf(j *rivertype.JobRow) string {
	if len(j.AttemptedBy) == 0 {
		return ""
	}
	return j.AttemptedBy[len(j.AttemptedBy)-1]
}

// node is what people are told of an owner: its host and its process.
func node(owner string) string {
	parts := strings.Split(owner, "/")
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

// failed is an error as it goes into River's tables, where it is kept for an hour:
// its words alone, cleaned.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(clean(err.Error()))
}

// What an address may say of who asks: its user, and what is asked for.
var (
	userOf  = regexp.MustCompile(`://[^\s/"@]*@`)
	queryOf = regexp.MustCompile(`(://[^\s"?]*)\?[^\s"]*`)
)

const longest = 400

// clean makes one line of an error, cut short, in which addresses name neither a
// user nor a query.
func clean(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	s = queryOf.ReplaceAllString(userOf.ReplaceAllString(s, "://"), "$1")
	if r := []rune(s); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return s
}

// panicked is the error after a panic. What a program panics with may be anything
// it held, so only what the runtime itself says is repeated.
func panicked(p any) error {
	if e, ok := p.(runtime.Error); ok {
		return fmt.Errorf("the program panicked: %w", e)
	}
	return fmt.Errorf("the program panicked with a value of type %T, which the log has", p)
}
