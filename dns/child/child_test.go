package child

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// memory is a provider that, like many, knows a record's id only by itself.
type memory struct {
	zone   map[string]int // token -> how many records stand
	ids    map[string]bool
	calls  []string
	strict bool // refuse a value that is there already
}

func (m *memory) Present(ctx context.Context, domain, token, _ string) error {
	m.calls = append(m.calls, "present "+token)
	if _, ok := ctx.Deadline(); !ok {
		return errors.New("no deadline")
	}
	if m.strict && m.zone[token] > 0 {
		return errors.New("an identical record exists")
	}
	if m.zone[token] == 0 {
		m.zone[token] = 1
	}
	m.ids[token] = true
	return nil
}

func (m *memory) CleanUp(ctx context.Context, domain, token, _ string) error {
	m.calls = append(m.calls, "cleanup "+token)
	if !m.ids[token] {
		return errors.New("unknown record ID")
	}
	delete(m.ids, token)
	delete(m.zone, token)
	return nil
}

// talk sends lines and returns what came back after the hello.
func talk(t *testing.T, m *memory, lines ...string) []response {
	t.Helper()
	var out strings.Builder
	if err := Serve(strings.NewReader(strings.Join(lines, "\n")+"\n"), &out, "1.2.3", "memory", m); err != nil {
		t.Fatal(err)
	}
	var got []response
	for d := json.NewDecoder(strings.NewReader(out.String())); ; {
		var r response
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if len(got) == 0 || got[0].Hello == nil || *got[0].Hello != (Hello{1, "1.2.3", "memory"}) {
		t.Fatalf("greeted with %+v", got)
	}
	return got[1:]
}

func newMemory() *memory { return &memory{zone: map[string]int{}, ids: map[string]bool{}} }

const (
	presentA = `{"id":1,"op":"present","domain":"d","token":"a","key_auth":"k","timeout_ms":1000}`
	cleanupA = `{"id":2,"op":"cleanup","domain":"d","token":"a","key_auth":"k"}`
)

func TestPresentThenCleanUp(t *testing.T) {
	m := newMemory()
	got := talk(t, m, presentA, cleanupA)
	if !slices.Equal(got, []response{{ID: 1}, {ID: 2}}) || len(m.zone) > 0 {
		t.Errorf("answers %+v, zone %v", got, m.zone)
	}
	if want := []string{"present a", "cleanup a"}; !slices.Equal(m.calls, want) {
		t.Errorf("calls %q, want %q", m.calls, want)
	}
}

func TestPresentTwiceAsksTheProviderOnce(t *testing.T) {
	m := newMemory()
	m.strict = true
	got := talk(t, m, presentA, presentA)
	if !slices.Equal(got, []response{{ID: 1}, {ID: 1}}) {
		t.Errorf("answers %+v", got)
	}
}

func TestEndOfInputCleansUp(t *testing.T) {
	m := newMemory()
	talk(t, m, presentA, strings.ReplaceAll(presentA, `"a"`, `"b"`))
	if len(m.zone) > 0 {
		t.Errorf("left behind: %v", m.zone)
	}
}

func TestAnotherChildsRecordIsCleanedUp(t *testing.T) {
	m := newMemory()
	m.zone["a"] = 1 // presented by a child that is gone with its ids
	got := talk(t, m, cleanupA)
	if !slices.Equal(got, []response{{ID: 2}}) || len(m.zone) > 0 {
		t.Errorf("answers %+v, zone %v", got, m.zone)
	}
}

func TestWhatRemainsIsSaid(t *testing.T) {
	m := newMemory()
	m.zone["a"], m.strict = 1, true
	got := talk(t, m, cleanupA)
	if len(got) != 1 || !got[0].Remains || got[0].Error != "unknown record ID; presented again to learn the record's id: an identical record exists" {
		t.Errorf("answers %+v", got)
	}
}

func TestBadRequestsAreAnswered(t *testing.T) {
	got := talk(t, newMemory(), `secret nonsense`, `{"id":9,"op":"dance"}`, presentA)
	if len(got) != 3 || got[0].Error == "" || strings.Contains(got[0].Error, "secret") || got[1].ID != 9 || got[1].Error == "" || got[2].Error != "" {
		t.Errorf("answers %+v", got)
	}
}
