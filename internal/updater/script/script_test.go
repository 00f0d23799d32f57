package script

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/trial"
)

func bundles(t *testing.T) []certfleet.Bundle {
	t.Helper()
	names, err := certfleet.ParseNames([]string{"shop.example"})
	if err != nil {
		t.Fatal(err)
	}
	return []certfleet.Bundle{{Certificate: "shop", Names: names, Path: "/live/shop"}, {Certificate: "blog", Names: names, Path: "/live/blog"}}
}

func sh(t *testing.T, c Config, text string) *Updater {
	t.Helper()
	c.Command = []string{"sh", "-c", text}
	u, err := New(c, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestScriptLearnsWhatChanged(t *testing.T) {
	said, err := sh(t, Config{}, `echo "$CERTFLEET_CERTIFICATES|$CERTFLEET_LINEAGE|$CERTFLEET_DOMAINS|$RENEWED_LINEAGE"`).Tell(t.Context(), bundles(t))
	if err != nil || said != "shop\nblog|/live/shop\n/live/blog|shop.example|" {
		t.Errorf("all at once: %q, %v", said, err)
	}
	said, err = sh(t, Config{Each: true}, `echo "$RENEWED_LINEAGE $RENEWED_DOMAINS"`).Tell(t.Context(), bundles(t))
	if err != nil || said != "/live/shop shop.example\n/live/blog shop.example" {
		t.Errorf("one by one: %q, %v", said, err)
	}
}

func TestScriptThatHangsIsEndedWithItsChildren(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	u := sh(t, Config{Timeout: certfleet.Duration(2 * time.Second)}, `echo started; sleep 60 & echo $! > `+pid+`; wait`)
	said, err := u.Tell(t.Context(), bundles(t))
	if err == nil || certfleet.AdviceOf(err) == "" || said != "started" {
		t.Errorf("got %q, %v; want its words, and an error with advice", said, err)
	}
	b, _ := os.ReadFile(pid)
	child, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	trial.Until(t, "the script's child ends", func() (bool, string) {
		stat, gone := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat")
		return gone != nil || strings.Contains(string(stat), ") Z ") || syscall.Kill(child, 0) != nil, string(stat)
	})
}

func TestScriptOutputIsDrainedAndItsEndKept(t *testing.T) {
	said, err := sh(t, Config{}, `i=0; while [ $i -lt 4000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo the end`).Tell(t.Context(), bundles(t))
	if err != nil || !strings.HasSuffix(said, "the end") || len(said) > 5000 {
		t.Errorf("got %d bytes, %v", len(said), err)
	}
	err = sh(t, Config{}, `echo no such vhost >&2; exit 3`).Update(t.Context(), bundles(t))
	if err == nil || !strings.Contains(err.Error(), "no such vhost") {
		t.Errorf("a failure says %v, want the script's own words", err)
	}
}

func TestScriptNeedsACommand(t *testing.T) {
	if _, err := New(Config{}, dial.Deps{}); certfleet.KindOf(err) != certfleet.Invalid {
		t.Errorf("got %v", err)
	}
}
