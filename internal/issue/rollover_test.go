package issue_test

import (
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/fakeca"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store/storetest"
)

// TestARolloverWhoseAnswerIsLostIsDone has the CA change the key and say nothing.
func TestARolloverWhoseAnswerIsLostIsDone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, storetest.SQLite(t), fakeca.Options{Faults: []fakeca.Fault{{Kind: fakeca.LostAnswer, Endpoint: "keyChange", Times: 1}}})
	if err := f.room.Rollover(t.Context(), f.acct.ID, certfleet.P256); err != nil {
		t.Errorf("it says: %v", err)
	}
	now, err := f.db.Account(t.Context(), f.acct.ID)
	if err != nil || now.KeyID == f.acct.KeyID || now.NextKeyID != 0 {
		t.Errorf("account is %+v, %v; want the new key", now, err)
	}
}

// TestARolloverThatNeverArrivesKeepsTheKey has the request lost instead.
func TestARolloverThatNeverArrivesKeepsTheKey(t *testing.T) {
	t.Parallel()
	f := newFleet(t, storetest.SQLite(t), fakeca.Options{Faults: []fakeca.Fault{{Kind: fakeca.Dropped, Endpoint: "keyChange"}}})
	if err := f.room.Rollover(t.Context(), f.acct.ID, certfleet.P256); err == nil {
		t.Error("it says that it was done")
	}
	if _, err := f.room.CheckAccount(t.Context(), f.acct.ID); err != nil {
		t.Error(err)
	}
	now, err := f.db.Account(t.Context(), f.acct.ID)
	if err != nil || now.KeyID != f.acct.KeyID || now.NextKeyID != 0 {
		t.Errorf("account is %+v, %v; want the old key", now, err)
	}
}

// TestARolloverIsNotForgottenByWhoAsksMeanwhile lets another node sign before the
// CA has heard of the new key, and so find that it does not know it.
func TestARolloverIsNotForgottenByWhoAsksMeanwhile(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	h.issue(h.room(nil), h.want("before.example"))
	was, err := h.db.Account(t.Context(), h.acct.ID)
	if err != nil {
		t.Fatal(err)
	}
	r := h.room(func(place string) {
		if place == "rollover begun" {
			h.issue(h.room(nil), h.want("meanwhile.example"))
		}
	})
	if err := r.Rollover(t.Context(), h.acct.ID, certfleet.P256); err != nil {
		t.Errorf("it says: %v", err)
	}
	now, err := h.db.Account(t.Context(), h.acct.ID)
	if err != nil || now.KeyID == was.KeyID || now.NextKeyID != 0 {
		t.Fatalf("account is %+v, %v; want the new key", now, err)
	}
	h.issue(h.room(nil), h.want("after.example"))
}
