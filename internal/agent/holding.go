package agent

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/probe"
	"github.com/certfleet/certfleet/internal/target/files"
)

// lookTime bounds one look at the service beside us.
const lookTime = 5 * time.Second

// labels are all certificates that are live here, by what lies in the folder.
func (a *Agent) labels() []string {
	dir, ending := filepath.Join(a.c.Dir, "live"), ""
	switch a.c.Layout {
	case files.HAProxy:
		dir, ending = a.c.Dir, ".pem"
	case files.PeterSSLers:
		dir = filepath.Join(a.c.Dir, "global")
	case Verbatim:
		dir = a.c.Dir
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // nothing is live yet
	}
	var out []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ending)
		if label, err := certfleet.LabelOf(name); ok && err == nil {
			out = append(out, label)
		}
	}
	return out
}

// lineage is what is to be told of one certificate. When ctx ends no more is looked
// at: the next report does that.
func (r *reporter) lineage(ctx context.Context, label string) api.AgentLineage {
	l, b := r.holding(label)
	unseen := false
	if l.Fingerprint != "" && l.Problem == "" && len(r.a.c.Serves) > 0 {
		served, problem := r.look(ctx, b)
		unseen = problem != "" || ctx.Err() != nil
		if ctx.Err() == nil { // a look that was cut off says nothing about the service
			l.Served, l.Problem = served, problem
		}
		if l.Problem != "" {
			l.Advice = "reload the service, or correct serves in the agent's configuration"
		}
	}
	r.sees(label, unseen)
	l.Problem, l.Advice = bounded(l.Problem, lineageSaid), bounded(l.Advice, lineageSaid)
	return l
}

// sees keeps what is to be looked at again soon.
func (r *reporter) sees(label string, unseen bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if delete(r.unseen, label); unseen {
		r.unseen[label] = true
	}
}

func (r *reporter) holding(label string) (api.AgentLineage, certfleet.Bundle) {
	a := r.a
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.liveBundle(label)
	l := api.AgentLineage{Certificate: label, Fingerprint: b.Fingerprint, NotAfter: b.NotAfter}
	if name, err := certfleet.LineageName(label); err == nil && a.problems[name] != nil {
		l.Problem, l.Advice = a.problems[name].Error(), certfleet.AdviceOf(a.problems[name])
	}
	if d := a.due[label]; d != nil && l.Problem == "" {
		l.Problem, l.Advice = r.troubled(d)
	}
	return l, b
}

// troubled says which updater failed that is still to be told.
func (r *reporter) troubled(d *due) (problem, advice string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range d.left {
		if u, ok := r.updaters[name]; ok && !u.OK {
			return "updater " + name + ": " + u.Problem, u.Advice
		}
	}
	return "", ""
}

// look asks the service beside us what it serves for the certificate's first name.
func (r *reporter) look(ctx context.Context, b certfleet.Bundle) (served, problem string) {
	i := slices.IndexFunc(b.Names, func(n certfleet.Name) bool { return !n.IsWildcard() })
	if i < 0 {
		return "", ""
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for _, s := range probe.LookAll(ctx, b.Names[i:i+1], r.a.c.Serves, probe.Options{Timeout: lookTime}) {
		if s.Err != nil {
			return "", s.Address + ": " + s.Err.Error()
		}
		if served = s.Fingerprint; served != b.Fingerprint {
			return served, s.Address + " serves another certificate"
		}
	}
	return served, ""
}
