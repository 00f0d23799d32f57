package api

import (
	"time"

	"github.com/certfleet/certfleet"
)

// Backup says from where a second certificate is kept warm.
type Backup struct {
	Authority string `json:"authority" doc:"The label of another CA than the policy's first."`
	Profile   string `json:"profile,omitempty" doc:"That CA's certificate profile; empty means its default."`
	KeyType   string `json:"key_type,omitempty" doc:"As in a policy."`
	KeyCycle  string `json:"key_cycle,omitempty" doc:"As in a policy."`
}

// BackupState is how the second certificate of a certificate stands.
type BackupState struct {
	Flipped   bool      `json:"flipped" doc:"It is delivered in place of the primary."`
	FlippedAt time.Time `json:"flipped_at,omitzero"`
	VersionID int64     `json:"version_id,omitempty"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	DueAt     time.Time `json:"due_at,omitzero" doc:"When its next order opens; absent while one is open."`
	DueReason string    `json:"due_reason,omitempty"`
	Failures  int       `json:"failures,omitempty"`
	Problem   string    `json:"problem,omitempty"`
	Advice    string    `json:"advice,omitempty"`
	FailedAt  time.Time `json:"failed_at,omitzero"`
}

// OfBackup is the wire form of a backup, nil of none.
func OfBackup(b *certfleet.Backup) *BackupState {
	if b == nil {
		return nil
	}
	return &BackupState{Flipped: b.Flipped(), FlippedAt: b.FlippedAt, VersionID: b.VersionID, NotAfter: b.NotAfter, DueAt: b.DueAt, DueReason: b.DueReason,
		Failures: b.Failures, Problem: b.Problem, Advice: b.Advice, FailedAt: b.FailedAt}
}

// Flip delivers the backup in place of the primary, or the primary again.
type Flip struct {
	Back bool `json:"back,omitempty" doc:"Deliver the primary again."`
}

// Flips flips many certificates, a page at a time.
type Flips struct {
	Issuer string            `json:"issuer,omitempty" doc:"Those whose version in use has this issuer's common name."`
	Labels map[string]string `json:"labels,omitempty" doc:"Those that carry all of these labels."`
	Back   bool              `json:"back,omitempty" doc:"Deliver the primaries again, of all that are flipped."`
	DryRun bool              `json:"dry_run,omitempty" doc:"Only say how many."`
	After  int64             `json:"after,omitempty" doc:"Go on behind this certificate: what the page before answered as next."`
}

// Flipped is what came of a page of flips.
type Flipped struct {
	Flipped int      `json:"flipped" doc:"How many are delivered anew, or would be."`
	Without int      `json:"without" doc:"How many have no backup that could be served."`
	Labels  []string `json:"labels,omitempty" doc:"Those without." nullable:"false"`
	Next    int64    `json:"next,omitempty" doc:"Where the next page begins; absent after the last."`
}
