package api

import (
	"time"

	"github.com/certfleet/certfleet"
)

// NewReplacement asks for versions to be taken out of use. What is given must
// all fit; at least one of it is needed.
type NewReplacement struct {
	Issuer       string            `json:"issuer,omitempty" doc:"Those from the issuer with this common name."`
	Profile      string            `json:"profile,omitempty" doc:"Those of this certificate profile."`
	Serials      []string          `json:"serials,omitempty" doc:"Those with these serial numbers, in hex."`
	IssuedAfter  time.Time         `json:"issued_after,omitzero" doc:"Those that are valid from then on or later."`
	IssuedBefore time.Time         `json:"issued_before,omitzero" doc:"Those that were valid before."`
	Labels       map[string]string `json:"labels,omitempty" doc:"Those whose certificate carries all of these."`
	Revoke       bool              `json:"revoke,omitempty" doc:"Revoke each old version once another one took its place."`
	Reason       int               `json:"reason,omitempty" enum:"0,1,3,4,5" doc:"The revocation reason (RFC 5280 section 5.3.1)."`
	RevokeBy     time.Time         `json:"revoke_by,omitzero" doc:"With revoke: from then on those are revoked too that nothing has taken the place of. It cannot be changed later."`
	DryRun       bool              `json:"dry_run,omitempty" doc:"Only say how many there are and how long it takes."`
}

// Replacement is a mass replacement and how far it is.
type Replacement struct {
	ID           int64             `json:"id,omitempty"`
	State        string            `json:"state" enum:"planned,running,aborting,aborted,done"`
	Issuer       string            `json:"issuer,omitempty"`
	Profile      string            `json:"profile,omitempty"`
	Serials      []string          `json:"serials,omitempty" nullable:"false"`
	IssuedAfter  time.Time         `json:"issued_after,omitzero"`
	IssuedBefore time.Time         `json:"issued_before,omitzero"`
	Labels       map[string]string `json:"labels,omitempty"`
	KeyID        int64             `json:"key_id,omitempty" doc:"Those with this key, which is compromised."`
	Revoke       bool              `json:"revoke,omitempty"`
	Reason       int               `json:"reason,omitempty"`
	RevokeBy     time.Time         `json:"revoke_by,omitzero" doc:"From then on those are revoked too that nothing has taken the place of."`
	Actor        string            `json:"actor,omitempty"`
	Found        bool              `json:"found" doc:"All versions were looked at."`
	Total        int64             `json:"total" doc:"How many are concerned, as far as they were looked at."`
	Waiting      int64             `json:"waiting" doc:"Not yet due."`
	Asked        int64             `json:"asked" doc:"Due, or ordered."`
	Replaced     int64             `json:"replaced" doc:"Out of use, and not revoked by this."`
	Revoked      int64             `json:"revoked"`
	Overdue      int64             `json:"overdue,omitempty" doc:"How many of the revoked were so before another took their place."`
	Late         int64             `json:"late,omitempty" doc:"Of a plan: how many would be revoked before another can take their place, by the limits of the CAs alone."`
	Skipped      int64             `json:"skipped" doc:"Their certificate is paused, parked or removed."`
	Stuck        int64             `json:"stuck" doc:"The CA would not revoke them."`
	Takes        string            `json:"takes,omitempty" doc:"Of a plan: how long it takes at least under the limits of the CAs."`
	Limits       []string          `json:"limits,omitempty" doc:"Of a plan: which limits say so." nullable:"false"`
	CreatedAt    time.Time         `json:"created_at,omitzero"`
	FinishedAt   time.Time         `json:"finished_at,omitzero"`
}

// Compromise says that a private key is known to others.
type Compromise struct {
	RevokeBy time.Time `json:"revoke_by,omitzero" doc:"From then on those are revoked too that nothing has taken the place of. It cannot be changed later."`
}

// OfReplacement is the wire form of a replacement with the states of its items.
func OfReplacement(r *certfleet.Replacement, n map[certfleet.ItemState]int64) Replacement {
	s := r.Spec
	out := Replacement{ID: r.ID, State: string(r.State), Issuer: s.Issuer, Profile: s.Profile, Serials: s.Serials, IssuedAfter: s.IssuedAfter, IssuedBefore: s.IssuedBefore,
		Labels: s.Labels, KeyID: s.KeyID, Revoke: s.Revoke, Reason: s.Reason, RevokeBy: s.RevokeBy, Actor: r.Actor, Found: r.Walked, CreatedAt: r.CreatedAt, FinishedAt: r.FinishedAt,
		Waiting: n[certfleet.ItemWanted] + n[certfleet.ItemReleased], Asked: n[certfleet.ItemAsked], Replaced: n[certfleet.ItemReplaced], Revoked: n[certfleet.ItemRevoked] + n[certfleet.ItemOverdue], Overdue: n[certfleet.ItemOverdue],
		Skipped: n[certfleet.ItemSkipped], Stuck: n[certfleet.ItemStuck]}
	for _, count := range n {
		out.Total += count
	}
	return out
}
