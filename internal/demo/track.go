package demo

import (
	"time"

	"github.com/certfleet/certfleet"
)

// stage is how far a certificate has come.
type stage int

// The stages, in their order.
const (
	wanted stage = iota
	open
	issued
	delivered
	served
	stages
)

var stageWords = [stages]string{"wanted", "open", "issued", "delivered", "served"}

// track follows one certificate from wanted to served, and again with each
// renewal.
type track struct {
	wish
	id    int64
	label string

	stage   stage
	reached [stages]time.Time
	failed  time.Time // when the order failed, zero if it did not
	word    string    // the last words said about it
	problem string
	advice  string

	version *certfleet.Version // the newest that was issued
	before  string             // serial of the one before it
	proofs  []proof            // of version, one a name
	rounds  int                // versions that were served
}

func newTrack(w wish, c *certfleet.Certificate, now time.Time) *track {
	t := &track{wish: w, id: c.ID, label: c.Label}
	t.begin(now, w.how)
	return t
}

func (t *track) begin(at time.Time, word string) {
	t.stage, t.reached, t.failed, t.word = wanted, [stages]time.Time{}, time.Time{}, word
	t.problem, t.advice = "", ""
	t.reached[wanted] = at
}

func (t *track) reach(s stage, at time.Time, word string) {
	t.stage, t.reached[s], t.word = s, at, word
	t.failed, t.problem, t.advice = time.Time{}, "", ""
}

// news is an event with the rows that it speaks of, nil where it speaks of none.
type news struct {
	certfleet.Event
	version     *certfleet.Version
	certificate *certfleet.Certificate
}

// hear takes an event in, and reports whether it changed anything to see.
func (t *track) hear(n news) bool {
	switch n.Kind {
	case "order.wanted":
		if t.stage != wanted || !t.failed.IsZero() {
			t.begin(n.At, n.Msg)
			return true
		}
		return false
	case "order.placed":
		t.reach(open, n.At, "the CA checks "+t.how)
	case "version.issued":
		t.issue(n)
	case "delivery.sent", "delivery.applied":
		if !t.speaksOf(n) || t.stage != issued && (t.stage != delivered || n.Kind == "delivery.sent") {
			return false
		}
		words := t.deliveredWords(n.Kind)
		if t.stage == delivered && t.word == words {
			return false // a folder has applied what lies in it
		}
		t.reach(delivered, n.At, words)
	case "delivery.served":
		if !t.speaksOf(n) {
			return false
		}
		t.reach(served, n.At, t.servedWords())
		t.rounds++
	case "order.failed", "certificate.blocked":
		t.fail(n)
	case "delivery.failed", "delivery.unseen":
		t.word, t.problem = n.Msg, n.Msg
	default:
		return false
	}
	return true
}

func (t *track) deliveredWords(kind string) string {
	switch {
	case t.target != "agent":
		return "key and chain lie where the edge reads them"
	case kind == "delivery.sent":
		return "sent by SFTP"
	}
	return "sent by SFTP and applied: the agent has it live and tells the service"
}

func (t *track) servedWords() string {
	if t.target == "agent" {
		return "seen in a handshake with the service beside the agent"
	}
	return "seen in a handshake with the edge"
}

// speaksOf reports whether an event is about the newest version.
func (t *track) speaksOf(n news) bool { return t.version != nil && n.VersionID == t.version.ID }

func (t *track) issue(n news) {
	t.before = ""
	if t.version != nil {
		t.before = t.version.Serial
	}
	t.version, t.proofs = n.version, nil
	t.reach(issued, n.At, n.Msg)
}

func (t *track) fail(n news) {
	t.failed, t.problem, t.word = n.At, n.Msg, n.Msg
	if n.certificate != nil && n.certificate.Problem != "" {
		t.problem, t.advice = n.certificate.Problem, n.certificate.Advice
	}
}

// settled reports whether it has come where it should: served, or failed where
// it must fail.
func (t *track) settled() bool {
	if t.fails {
		return !t.failed.IsZero()
	}
	return t.stage == served
}

// state is its word in tables and JSON.
func (t *track) state() string {
	if !t.failed.IsZero() {
		return "failed"
	}
	return stageWords[t.stage]
}
