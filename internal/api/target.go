package api

import (
	"encoding/json"
	"time"
)

// Target is a place to deliver to.
type Target struct {
	ID     int64             `json:"id,omitempty" readOnly:"true"`
	Label  string            `json:"label" doc:"What people call it; unique."`
	Type   string            `json:"type" doc:"The kind of target, such as files; see /v1/target-types."`
	Spec   map[string]any    `json:"spec,omitempty" doc:"The settings of its kind."`
	Probe  []string          `json:"probe,omitempty" doc:"Where it serves, host:port; a delivery is done when each was seen serving it."`
	Proof  string            `json:"proof,omitempty" enum:"all,sample,none" doc:"How many names are looked at; empty means all."`
	Labels map[string]string `json:"labels,omitempty"`
	Paused bool              `json:"paused,omitempty" doc:"Nothing is delivered to it."`

	Group       string `json:"group,omitempty" doc:"Targets of one group belong together, for canary and push_mode."`
	Canary      bool   `json:"canary,omitempty" doc:"A new version goes here first; the rest of the group gets it when this one was seen serving it."`
	PushMode    string `json:"push_mode,omitempty" enum:"parallel,serial" doc:"serial: one connection, and never while another serial target of the group is delivered to; empty means parallel."`
	Concurrency int    `json:"concurrency,omitempty" minimum:"0" maximum:"64" doc:"Connections at a time from each node; empty means 4."`
	Rate        int    `json:"rate,omitempty" minimum:"0" doc:"Versions a minute at most; empty means as many as there are."`

	Rev int64 `json:"rev,omitempty" readOnly:"true"`
}

// TargetQuery narrows a list of targets.
type TargetQuery struct {
	Paging
	Labelled
}

// TargetChange changes what is present in it.
type TargetChange struct {
	Spec   *map[string]any    `json:"spec,omitempty" doc:"Replaces all settings."`
	Probe  *[]string          `json:"probe,omitempty"`
	Proof  *string            `json:"proof,omitempty"`
	Labels *map[string]string `json:"labels,omitempty"`
	Paused *bool              `json:"paused,omitempty"`

	Group       *string `json:"group,omitempty"`
	Canary      *bool   `json:"canary,omitempty"`
	PushMode    *string `json:"push_mode,omitempty"`
	Concurrency *int    `json:"concurrency,omitempty"`
	Rate        *int    `json:"rate,omitempty"`
}

// TargetType is a kind of target and its settings.
type TargetType struct {
	Type   string        `json:"type"`
	Fields []TargetField `json:"fields" nullable:"false"`
}

// TargetField is one setting of a kind of target.
type TargetField struct {
	Name string `json:"name"`
	Type string `json:"type" doc:"string, number, boolean, list or object."`
	Doc  string `json:"doc,omitempty"`
}

// Redelivery asks to deliver again.
type Redelivery struct {
	Certificate string `json:"certificate,omitempty" doc:"The label or id of one certificate; empty means all that go to the target."`
	Force       bool   `json:"force,omitempty" doc:"Also what is there already."`
}

// Redelivered says how many deliveries are due now.
type Redelivered struct {
	Due           int   `json:"due"`
	CertificateID int64 `json:"certificate_id,omitempty"`
	TargetID      int64 `json:"target_id,omitempty"`
}

// DeliverRequest asks to deliver a certificate, to a target, or both.
type DeliverRequest struct {
	Name   string `json:"name,omitempty" doc:"The label or id of a certificate, or a host name of it; empty means all that go to the target."`
	Target string `json:"target,omitempty" doc:"The label or id of a target; empty means all of the certificate's."`
	Force  bool   `json:"force,omitempty" doc:"Also what is there already, and what a canary stopped."`
}

// Delivery is one version to one target.
type Delivery struct {
	ID            int64     `json:"id"`
	VersionID     int64     `json:"version_id"`
	TargetID      int64     `json:"target_id"`
	Target        string    `json:"target" doc:"The target's label."`
	CertificateID int64     `json:"certificate_id"`
	Certificate   string    `json:"certificate,omitempty" doc:"The certificate's label; in lists of deliveries and on one alone."`
	State         string    `json:"state" enum:"due,sent,applied,served,failed,superseded" doc:"served means that a handshake showed it."`
	Attempts      int       `json:"attempts"`
	Problem       string    `json:"problem,omitempty"`
	Advice        string    `json:"advice,omitempty"`
	DueAt         time.Time `json:"due_at,omitzero" doc:"When the next try or look is."`
	Held          bool      `json:"held,omitempty" doc:"It waits until the canary of its group is seen serving this version."`
	Rollback      bool      `json:"rollback,omitempty" doc:"An older version on purpose, after a newer one was not seen served."`
	SentAt        time.Time `json:"sent_at,omitzero"`
	AppliedAt     time.Time `json:"applied_at,omitzero"`
	ServedAt      time.Time `json:"served_at,omitzero" doc:"When it was last seen in a handshake."`
	CreatedAt     time.Time `json:"created_at"`
	Rev           int64     `json:"rev"`
}

// DeliveryStory is a delivery with what probes saw.
type DeliveryStory struct {
	Delivery
	Sightings []Sighting `json:"sightings" nullable:"false"`
}

// DeliveryQuery narrows a list of deliveries, newest first.
type DeliveryQuery struct {
	Paging
	Labelled
	State       string `query:"state" doc:"due, sent, applied, served, failed, superseded, or open for those that have not arrived."`
	Certificate string `query:"certificate" doc:"The label or id of a certificate."`
	Target      string `query:"target" doc:"The label or id of a target."`
	Version     int64  `query:"version" doc:"The id of a version."`
}

// Sighting is what a name served at an address.
type Sighting struct {
	Name        string    `json:"name"`
	Address     string    `json:"address"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	Problem     string    `json:"problem,omitempty"`
	At          time.Time `json:"at"`
}

// ProbeRequest asks what names serve now.
type ProbeRequest struct {
	Names     []string `json:"names,omitempty" doc:"The names to look at."`
	Addresses []string `json:"addresses,omitempty" doc:"Where to look, host:port; empty means each name's own address, port 443."`

	Certificate string `json:"certificate,omitempty" doc:"Instead: all names of this certificate, at its targets' probe addresses."`
}

// Look is what a name serves at an address, right now.
type Look struct {
	Name        string    `json:"name"`
	Address     string    `json:"address"`
	Remote      string    `json:"remote,omitempty" doc:"The address that answered."`
	Fingerprint string    `json:"fingerprint,omitempty"`
	Serial      string    `json:"serial,omitempty"`
	Issuer      string    `json:"issuer,omitempty"`
	NotAfter    time.Time `json:"not_after,omitzero"`
	Matches     bool      `json:"matches" doc:"The certificate is for the name."`
	Trusted     bool      `json:"trusted" doc:"Its chain leads to a trusted root."`
	Distrust    string    `json:"distrust,omitempty" doc:"Why it is not trusted."`
	Protocol    string    `json:"protocol,omitempty"`
	Problem     string    `json:"problem,omitempty" doc:"Why nothing was seen."`
	Advice      string    `json:"advice,omitempty"`
	VersionID   int64     `json:"version_id,omitempty" doc:"The version of ours that it is."`
	Wanted      bool      `json:"wanted" doc:"It is the version that the name should serve."`
	At          time.Time `json:"at"`
}

// Looks are the answers to a ProbeRequest.
type Looks struct {
	Looks []Look `json:"looks" nullable:"false"`
}

// SpecJSON is a target's settings as they are stored.
func (t Target) SpecJSON() ([]byte, error) {
	if len(t.Spec) == 0 {
		return []byte("{}"), nil
	}
	return json.Marshal(t.Spec)
}
