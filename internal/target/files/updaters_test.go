package files

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/targettest"
)

// told is a target with updaters as the API gives them: JSON.
func told(t *testing.T, dir string, updaters map[string]any) *Target {
	t.Helper()
	text, err := json.Marshal(map[string]any{"dir": dir, "updaters": updaters})
	if err != nil {
		t.Fatal(err)
	}
	s, err := config.NewSection("edge", "files", text)
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	if err := s.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return newTarget(t, c)
}

func script(line string, more ...string) map[string]any {
	out := map[string]any{"type": "script", "command": []string{"sh", "-c", line}, "retries": -1}
	if len(more) > 0 {
		out["for"] = more
	}
	return out
}

func TestServicesThatDependOnAChangeAreTold(t *testing.T) {
	top := t.TempDir()
	out, flag := filepath.Join(top, "out"), filepath.Join(top, "flag")
	target := told(t, filepath.Join(top, "fleet"), map[string]any{
		"1-all": script(`echo "all $RENEWED_LINEAGE" >> ` + out), "2-mail": script("echo mail >> "+out, "mail"), "3-picky": script("test -e " + flag),
	})
	b := targettest.Bundle(t, "shop", 1, "shop.example.com")
	said := func() string { text, _ := os.ReadFile(out); return string(text) }
	r, err := target.Deliver(t.Context(), []certfleet.Bundle{b}, nil)
	if err != nil || r[0].Applied || r[0].Err == nil || !strings.Contains(r[0].Err.Error(), "3-picky") {
		t.Fatalf("with a service that fails: %+v, %v", r, err)
	}
	once := "all " + filepath.Join(top, "fleet", "live", "shop") + "\n"
	if said() != once {
		t.Errorf("services heard %q, want %q", said(), once)
	}
	os.WriteFile(flag, nil, 0o600)
	deliver(t, target, b)
	if said() != once+once {
		t.Errorf("after the next try services heard %q", said())
	}
	deliver(t, target, b)
	if said() != once+once {
		t.Errorf("nothing changed, and services heard %q", said())
	}
	b.Again = true
	deliver(t, target, b)
	if said() != once+once+once {
		t.Errorf("asked to tell them once more, services heard %q", said())
	}
}

func TestUnknownUpdatersAreRefused(t *testing.T) {
	s, err := config.NewSection("edge", "files", []byte(`{"dir":"/srv/x","updaters":{"a":{"type":"telepathy"}}}`))
	var c Config
	if err == nil {
		err = s.Decode(&c)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(c, dial.Deps{}); certfleet.KindOf(err) != certfleet.Invalid || !strings.Contains(certfleet.AdviceOf(err), "systemd") {
		t.Errorf("got %v, advice %q", err, certfleet.AdviceOf(err))
	}
}

func TestAnOlderVersionComesBackOnPurposeOnly(t *testing.T) {
	for _, l := range layouts {
		dir := filepath.Join(t.TempDir(), "fleet")
		target := newTarget(t, Config{Dir: dir, Layout: l})
		older, newer := targettest.Bundle(t, "shop", 1, "shop.example.com"), targettest.Bundle(t, "shop", 2, "shop.example.com")
		deliver(t, target, older)
		deliver(t, target, newer)
		if r, err := target.Deliver(t.Context(), []certfleet.Bundle{older}, nil); err != nil || certfleet.KindOf(r[0].Err) != certfleet.Conflict {
			t.Errorf("%s: an older version: %+v, %v", l, r, err)
		}
		older.Rollback = true
		deliver(t, target, older)
		if fp, err := target.Holds(t.Context(), "shop", certfleet.Receipt{}); fp != older.Fingerprint || err != nil {
			t.Errorf("%s: after a rollback it holds %s, %v", l, fp, err)
		}
		deliver(t, target, newer)
		if fp, _ := target.Holds(t.Context(), "shop", certfleet.Receipt{}); fp != newer.Fingerprint {
			t.Errorf("%s: after going forward again it holds %s", l, fp)
		}
	}
}

// TestOrderDecidesBeforeLabels has labels against the order that is wanted.
func TestOrderDecidesBeforeLabels(t *testing.T) {
	top := t.TempDir()
	out := filepath.Join(top, "out")
	at := func(order int, word string) map[string]any {
		s := script("echo " + word + " >> " + out)
		s["order"] = order
		return s
	}
	target := told(t, filepath.Join(top, "fleet"), map[string]any{"a": at(3, "third"), "b": at(2, "second"), "c": at(-1, "first"), "d": at(3, "fourth")})
	deliver(t, target, targettest.Bundle(t, "shop", 1, "shop.example.com"))
	if text, _ := os.ReadFile(out); string(text) != "first\nsecond\nthird\nfourth\n" {
		t.Errorf("services were told in the order %q", text)
	}
}
