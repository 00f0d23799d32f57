package app

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/work"
)

// The bounds of what is told of due work.
const (
	mostDue  = 1000 // rows that are counted
	mostSaid = 5    // rows that are described
	mostDry  = 500  // rows that a dry run describes
)

func (a *App) runningJobs() []api.RunningJob {
	out := []api.RunningJob{}
	for _, r := range a.Work.Running() {
		out = append(out, runningJob(&r))
	}
	return out
}

func runningJob(r *work.Running) api.RunningJob {
	return api.RunningJob{Kind: r.Kind, ID: r.ID, Since: r.Since.UTC(), Node: r.Node}
}

// queued is what runs and what went wrong, on all nodes that share the queue.
func (a *App) queued(ctx context.Context) ([]api.RunningJob, []api.TroubledJob, error) {
	q, err := a.Work.Queue(ctx)
	if err != nil {
		return nil, nil, err
	}
	return api.All(q.Running, runningJob), api.All(q.Trouble, func(t *work.Trouble) api.TroubledJob { return a.troubledJob(ctx, t) }), nil
}

func (a *App) troubledJob(ctx context.Context, t *work.Trouble) api.TroubledJob {
	j := api.TroubledJob{Kind: t.Kind, ID: t.ID, Node: t.Node, Tries: t.Tries, Problem: t.Problem, At: t.At.UTC(), NextAt: t.NextAt}
	if k, err := a.Work.KindNamed(t.Kind); err == nil {
		j.Say = k.Say(ctx, t.ID)
	}
	return j
}

func (a *App) dueByKind(ctx context.Context) ([]api.DueJobs, error) {
	out := []api.DueJobs{}
	for _, k := range a.Work.Kinds {
		ids, err := k.Due(ctx, time.Now(), mostDue)
		if err != nil {
			return nil, err
		}
		d := api.DueJobs{Kind: k.Name, N: len(ids)}
		if d.Oldest, err = a.DB.OldestDue(ctx, k.Name, time.Now()); err != nil {
			return nil, err
		}
		for _, id := range ids[:min(len(ids), mostSaid)] {
			d.Say = append(d.Say, k.Say(ctx, id))
		}
		out = append(out, d)
	}
	return out, nil
}

// Sweep does one round of one kind of work, or only says what it would do.
func (a *App) Sweep(ctx context.Context, kind string, limit int, dry bool) (api.Swept, error) {
	if limit <= 0 {
		limit = 500
	}
	out := api.Swept{Kind: kind}
	k, err := a.Work.KindNamed(kind)
	if err != nil {
		return out, err
	}
	now := time.Now()
	ids, err := k.Due(ctx, now, limit)
	if err != nil {
		return out, err
	}
	for _, id := range ids[:min(len(ids), mostDry)] {
		out.Say = append(out.Say, k.Say(ctx, id))
	}
	if out.Did = len(ids); dry {
		return out, nil
	}
	out.Did, err = a.Work.Round(ctx, k, now, limit)
	return out, err
}

// KindNames are the kinds of work.
func (a *App) KindNames() []string {
	var out []string
	for _, k := range a.Work.Kinds {
		out = append(out, k.Name)
	}
	return out
}

// TargetTypes lists the kinds of target and what each can be told.
func TargetTypes() []api.TargetType {
	out := []api.TargetType{}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		if typ, ok := strings.CutPrefix(name, "target "); ok {
			out = append(out, api.TargetType{Type: typ, Fields: settingsOf(reflect.TypeOf(configs[name]))})
		}
	}
	return out
}

func settingsOf(t reflect.Type) []api.TargetField {
	out := []api.TargetField{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "" && name != "-" {
			out = append(out, api.TargetField{Name: name, Type: kindWord(f.Type), Doc: f.Tag.Get("doc")})
		}
	}
	return out
}

func kindWord(t reflect.Type) string {
	_, text := reflect.New(t).Interface().(interface{ UnmarshalText([]byte) error })
	switch {
	case text:
		return "string"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map || t.Kind() == reflect.Struct:
		return "object"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64:
		return "number"
	}
	return "string"
}
