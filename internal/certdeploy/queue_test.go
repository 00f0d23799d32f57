package certdeploy

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// listenSilently is a host that takes connections and says nothing.
func listenSilently(t testing.TB) host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, hostKey := keyFile(t)
	return host{l.Addr().(*net.TCPAddr).Port, "certdeploy", hostKey, "/nowhere"}
}

func newQueue(t testing.TB) *queue {
	t.Helper()
	q, err := openQueue(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.close() })
	return q
}

func TestQueueKeepsAJobOnceUntilItIsDone(t *testing.T) {
	t.Parallel()
	q, now := newQueue(t), time.Now()
	for range 3 {
		if err := q.add(t.Context(), now, map[string][]string{"a": {"/live/x"}, "b": {"/live/x", "/live/y"}}); err != nil {
			t.Fatal(err)
		}
	}
	jobs, err := q.due(t.Context(), now)
	if err != nil || len(jobs) != 3 {
		t.Fatalf("%v, %v", jobs, err)
	}
	if info, err := os.Stat(filepath.Join(q.dir, queueFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	q.add(t.Context(), now, map[string][]string{"a": {"/live/x"}}) // renewed while it is pushed
	for _, j := range jobs {
		if err := q.done(t.Context(), j); err != nil {
			t.Error(err)
		}
	}
	left, _ := q.all(t.Context())
	if len(left) != 1 || left[0].client != "a" {
		t.Errorf("left is %+v, want what was queued again", left)
	}
	j := left[0]
	j.rounds = 1
	q.later(t.Context(), j, now.Add(time.Hour), "away")
	if due, _ := q.due(t.Context(), now.Add(59*time.Minute)); len(due) != 0 {
		t.Errorf("due too early: %+v", due)
	}
	if due, _ := q.due(t.Context(), now.Add(time.Hour)); len(due) != 1 || due[0].rounds != 1 {
		t.Errorf("not due: %+v", due)
	}
	if fresh, _ := q.fresh(t.Context()); len(fresh) != 0 {
		t.Errorf("fresh: %+v", fresh)
	}
}

func TestDueQueryDoesNotScan(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	var id, parent, unused int
	var detail string
	if err := q.db.QueryRow(`EXPLAIN QUERY PLAN SELECT id FROM job WHERE due <= 1 ORDER BY queued, id`).Scan(&id, &parent, &unused, &detail); err != nil || !strings.Contains(detail, "job_due") {
		t.Errorf("plan %q, %v", detail, err)
	}
}

func TestOriginalsQueueIsTakenOverOnce(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	file := filepath.Join(q.dir, sharedFile)
	os.WriteFile(file, []byte(`{"known": ["/live/x", "/live/x", "/live/y/"], "strange": ["/live/z"]}`), 0o640)
	known := func(identity, _ string) []string {
		if identity == "known" {
			return []string{"k"}
		}
		return nil
	}
	if n, err := q.takeOver(t.Context(), time.Now(), known); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	jobs, _ := q.all(t.Context())
	if len(jobs) != 2 || jobs[0].lineage != "/live/x" || jobs[1].lineage != "/live/y" {
		t.Errorf("got %+v", jobs)
	}
	text, _ := os.ReadFile(file)
	var left map[string][]string
	if err := json.Unmarshal(text, &left); err != nil || len(left) != 1 || !slices.Equal(left["strange"], []string{"/live/z"}) {
		t.Errorf("left is %s", text)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o640 {
		t.Errorf("its mode became %v", info.Mode())
	}
	if n, err := q.takeOver(t.Context(), time.Now(), known); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
	if _, err := os.Stat(filepath.Join(q.dir, sharedLock)); err == nil {
		t.Error("the lock stays")
	}
}

func TestCorruptQueueStopsNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"[1, 2]", "{\"a\": [\"/x\"", "{\"a\": 5}", "null", "   "} {
		q := newQueue(t)
		os.WriteFile(filepath.Join(q.dir, sharedFile), []byte(text), 0o600)
		_, err := q.takeOver(t.Context(), time.Now(), func(string, string) []string { return nil })
		if !errors.Is(err, errCorrupt) || !strings.Contains(err.Error(), "The queue file contains invalid data.") {
			t.Errorf("%q: %v", text, err)
		}
		aside, _ := filepath.Glob(filepath.Join(q.dir, sharedFile+".corrupt-*"))
		if len(aside) != 1 {
			t.Errorf("%q: it is not kept aside: %v", text, aside)
		}
		if _, err := os.Stat(filepath.Join(q.dir, sharedLock)); err == nil {
			t.Errorf("%q: the lock stays", text)
		}
		if n, err := q.takeOver(t.Context(), time.Now(), nil); n != 0 || err != nil {
			t.Errorf("%q: again: %d, %v", text, n, err)
		}
	}
}

func TestStuckLockIsBrokenAndAFreshOneHonoured(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock := filepath.Join(dir, sharedLock)
	os.WriteFile(lock, nil, 0o644)
	then := time.Now().Add(-time.Hour)
	os.Chtimes(lock, then, then)
	unlock, err := lockShared(t.Context(), lock)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := lockShared(t.Context(), lock)
		if err == nil {
			second()
		}
		got <- err
	}()
	select {
	case <-got:
		t.Error("two hold the lock")
	case <-time.After(100 * time.Millisecond):
	}
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left is %v", left)
	}
}

func TestEntriesOfOneIdentityAreServedEach(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := sshd(t, s.public)
	other := h
	other.path = filepath.Join(filepath.Dir(h.path), "other")
	s.configure(h.entry("a.example") + other.entry("b.example"))
	c, err := loadServer(s.file)
	if err != nil || c.clients[0].identity() != c.clients[1].identity() || c.clients[0].queueKey() == c.clients[1].queueKey() {
		t.Fatalf("%v: %+v", err, c.clients)
	}
	b, files := renewed(t, s.live, "b.example")
	text, _ := json.Marshal(map[string][]string{c.clients[0].identity(): {b}})
	os.WriteFile(filepath.Join(s.queue, sharedFile), text, 0o600)
	if out, status := s.server(nil, "--push"); status != 0 || out != "" {
		t.Fatalf("%d: %s", status, out)
	}
	holds(t, filepath.Join(other.path, "b.example"), files, "fullchain.pem", "privkey.pem")
	if _, err := os.Stat(filepath.Join(h.path, "b.example")); err == nil {
		t.Error("a key went to an entry that does not want it")
	}
}
