package takeover

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// Options say how things are taken over.
type Options struct {
	Manage  bool     // certificates are renewed here from now on
	Expired bool     // expired certificates too
	Chains  bool     // prefer the chains that the policy global names
	Policy  string   // of certificates without a renewal configuration; empty for default
	Targets []string // labels
	Labels  map[string]string

	Solver string // that keeps accounts at acme-dns servers; empty for the one with that server
}

// drawer draws a plan.
type drawer struct {
	src  *petersslers.DB
	c    *client.Client
	opt  Options
	now  time.Time
	here *here
	plan *Plan

	authorities map[int64]string              // server to label
	accounts    map[int64]petersslers.Account // all that there are
	systems     map[string]petersslers.System
	factories   map[int64]made
	policies    *policies
	chain       string          // the issuer whose chains are preferred, empty for what the CA gives
	blocked     map[string]bool // here and in the plan
	stock       *stock
	numbers     map[string]*numbers     // by kind
	names       map[certfleet.Name]bool // of certificates; true of those that are in the plan
}

// Draw draws a plan of what a database holds and the manager does not have. It
// changes nothing. The database must stay open until the plan is carried out.
func Draw(ctx context.Context, src *petersslers.DB, c *client.Client, now time.Time, opt Options) (*Plan, error) {
	h, err := look(ctx, c)
	if err != nil {
		return nil, err
	}
	d := &drawer{src: src, c: c, opt: opt, now: now, here: h, plan: &Plan{Path: src.Path}, authorities: map[int64]string{}, accounts: map[int64]petersslers.Account{},
		systems: map[string]petersslers.System{}, factories: map[int64]made{}, blocked: h.blocked, numbers: map[string]*numbers{}, names: map[certfleet.Name]bool{}}
	d.policies = newPolicies(d)
	for _, draw := range []func(context.Context) error{d.drawAccounts, d.drawPreference, d.drawSystems, d.drawFactories, d.drawBlocklist, d.drawDelegations, d.drawCertificates, d.drawRest, d.drawNumbers} {
		if err := draw(ctx); err != nil {
			return nil, fmt.Errorf("read %s: %w", src.Path, err)
		}
	}
	d.plan.order()
	return d.plan, nil
}

func (d *drawer) put(i Item) *Item {
	d.plan.Items = append(d.plan.Items, &i)
	return &i
}

// skip notes what is left out.
func (d *drawer) skip(noun string, id int64, label, reason, advice string) {
	d.put(Item{Noun: noun, ID: id, Label: label, State: Skip, Reason: reason, Advice: advice})
}

// labelOf makes a label of a foreign word: what no label may hold is left out. An
// empty answer means that nothing is left, or a number.
func labelOf(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune("/?#%", r):
			return '-'
		case r < ' ' || r == 0x7f || r == '\uFFFD':
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if s == "." || s == ".." || strings.Trim(s, "0123456789") == "" {
		return ""
	}
	return clipped(s, 120)
}

func clipped(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}

func number(id int64) string { return strconv.FormatInt(id, 10) }

// oneLine is a text that a label's value can hold.
func oneLine(s string) string {
	return clipped(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' }), " "), 60)
}
