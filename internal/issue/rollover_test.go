package issue_test

import (
	"testing"
	"testing/synctest"
	"time"

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

// TestARolloverThatNeverArrivesKeepsTheKey has the request lost instead. The next key
// is kept as long as the request might still arrive, and no other is made meanwhile.
func TestARolloverThatNeverArrivesKeepsTheKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, storetest.SQLite(t), fakeca.Options{Faults: []fakeca.Fault{{Kind: fakeca.Dropped, Endpoint: "keyChange"}}})
		if err := f.room.Rollover(t.Context(), f.acct.ID, certfleet.P256); err == nil {
			t.Error("it says that it was done")
		}
		f.checks()
		if now := f.account(); now.KeyID != f.acct.KeyID || now.NextKeyID == 0 {
			t.Errorf("account is %+v; want both keys", now)
		}
		err := f.room.Rollover(t.Context(), f.acct.ID, certfleet.P256)
		if certfleet.KindOf(err) != certfleet.Conflict || certfleet.AdviceOf(err) == "" {
			t.Errorf("another one says: %v", err)
		}
		time.Sleep(5 * time.Minute)
		f.checks()
		if now := f.account(); now.KeyID != f.acct.KeyID || now.NextKeyID != 0 {
			t.Errorf("account is %+v; want the old key", now)
		}
	})
}

// checks has the CA asked for the account, which settles a rollover.
func (f *fleet) checks() {
	f.Helper()
	if _, err := f.room.CheckAccount(f.Context(), f.acct.ID); err != nil {
		f.Error(err)
	}
}

func (f *fleet) account() *certfleet.Account {
	f.Helper()
	now, err := f.db.Account(f.Context(), f.acct.ID)
	if err != nil {
		f.Fatal(err)
	}
	return now
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

// TestARolloverThatDiesIsNotForgottenByWhoAskedMeanwhile has the CA asked for the new
// key before it hears of it; then it takes the key, and the process ends with its answer.
func TestARolloverThatDiesIsNotForgottenByWhoAskedMeanwhile(t *testing.T) {
	t.Parallel()
	h := build(t, storetest.SQLite(t), pebble.Options{})
	h.issue(h.room(nil), h.want("before.example"))
	was, err := h.db.Account(t.Context(), h.acct.ID)
	if err != nil {
		t.Fatal(err)
	}
	r := h.room(func(place string) {
		switch place {
		case "rollover begun":
			h.issue(h.room(nil), h.want("meanwhile.example"))
		case "rolled over":
			panic(died{place})
		}
	})
	if err := h.dying(func() error { return r.Rollover(t.Context(), h.acct.ID, certfleet.P256) }); err != nil {
		t.Fatal(err)
	}
	h.issue(h.room(nil), h.want("after.example"))
	now, err := h.db.Account(t.Context(), h.acct.ID)
	if err != nil || now.KeyID == was.KeyID || now.NextKeyID != 0 {
		t.Errorf("account is %+v, %v; want the new key", now, err)
	}
}
