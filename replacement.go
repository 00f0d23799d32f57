package certfleet

import (
	"slices"
	"time"
)

// ReplacementState is how far a mass replacement has come.
type ReplacementState string

// The states of a replacement: running -> done, or aborting -> aborted and
// running again when it is resumed.
const (
	ReplacementRunning  ReplacementState = "running"
	ReplacementAborting ReplacementState = "aborting" // what was asked for and not begun is taken back
	ReplacementAborted  ReplacementState = "aborted"
	ReplacementDone     ReplacementState = "done"
)

// Replacement takes many versions out of use: each of their certificates gets a
// new one, and where that is wanted the old ones are revoked afterwards.
type Replacement struct {
	ID         int64
	Tenant     int64
	Spec       ReplacementSpec
	State      ReplacementState
	Actor      string
	AfterID    int64 // versions up to this id were looked at
	Walked     bool  // all were
	DueAt      time.Time
	CreatedAt  time.Time
	FinishedAt time.Time
	Rev        int64
}

// ReplacementSpec says which versions. Empty fields match all.
type ReplacementSpec struct {
	Issuer       string    `json:"issuer,omitempty"` // common name
	Profile      string    `json:"profile,omitempty"`
	Serials      []string  `json:"serials,omitempty"` // lower-case hex
	IssuedAfter  time.Time `json:"issued_after,omitzero"`
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	Labels       Labels    `json:"labels,omitempty"` // of the certificate
	KeyID        int64     `json:"key_id,omitempty"`
	Revoke       bool      `json:"revoke,omitempty"`
	Reason       int       `json:"reason,omitempty"` // RFC 5280 section 5.3.1
	// RevokeBy is when those are revoked too that nothing has taken the place of;
	// zero waits for each. It is only said together with Revoke.
	RevokeBy time.Time `json:"revoke_by,omitzero"`
}

// Overdue reports whether the moment has come at which versions are revoked
// although nothing has taken their place.
func (s *ReplacementSpec) Overdue(now time.Time) bool {
	return s.Revoke && !s.RevokeBy.IsZero() && !now.Before(s.RevokeBy)
}

// Narrow reports whether the spec names anything at all.
func (s *ReplacementSpec) Narrow() bool {
	return s.Issuer != "" || s.Profile != "" || len(s.Serials) > 0 || !s.IssuedAfter.IsZero() || !s.IssuedBefore.IsZero() || len(s.Labels) > 0 || s.KeyID != 0
}

// Matches reports whether a version is to be replaced, as far as the version
// itself says; its certificate's labels are not looked at.
func (s *ReplacementSpec) Matches(v *Version) bool {
	switch {
	case s.Issuer != "" && v.Issuer != s.Issuer,
		s.Profile != "" && v.Profile != s.Profile,
		len(s.Serials) > 0 && !slices.Contains(s.Serials, v.Serial),
		!s.IssuedAfter.IsZero() && v.NotBefore.Before(s.IssuedAfter),
		!s.IssuedBefore.IsZero() && !v.NotBefore.Before(s.IssuedBefore),
		s.KeyID != 0 && v.KeyID != s.KeyID:
		return false
	}
	return true
}

// ItemState is how far one version of a replacement has come.
type ItemState string

// The states of an item.
const (
	ItemWanted   ItemState = "wanted"   // found
	ItemAsked    ItemState = "asked"    // its certificate is due in the emergency lane
	ItemReplaced ItemState = "replaced" // another version took its place
	ItemRevoked  ItemState = "revoked"
	ItemOverdue  ItemState = "overdue"  // revoked before another version took its place, as its time had come
	ItemStuck    ItemState = "stuck"    // it could not be revoked
	ItemSkipped  ItemState = "skipped"  // nobody looks after its certificate now
	ItemReleased ItemState = "released" // asked for, and taken back by an abort
)

// ReplacementItem is one version of a replacement. Due, DueReason and Lane are
// what its certificate had before.
type ReplacementItem struct {
	ID            int64
	ReplacementID int64
	VersionID     int64
	CertificateID int64
	State         ItemState
	DueAt         time.Time
	DueReason     string
	Lane          Lane
	Problem       string
	ChangedAt     time.Time
}
