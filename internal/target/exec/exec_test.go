package exec

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/targettest"
)

// TestMain is also the program: called with a folder it keeps each bundle there.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "keep-in" {
		keepIn(os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func keepIn(dir string) {
	var q question
	line, _ := bufio.NewReader(os.Stdin).ReadBytes('\n')
	if err := json.Unmarshal(line, &q); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, b := range q.Bundles {
		file, _ := json.Marshal(b)
		err := os.WriteFile(filepath.Join(dir, b.Certificate), file, 0o600)
		a := answer{Certificate: b.Certificate, Fingerprint: b.Fingerprint, Applied: err == nil, State: b.State + "+"}
		json.NewEncoder(os.Stdout).Encode(a)
	}
}

func newTarget(t *testing.T, command ...string) *Target {
	t.Helper()
	target, err := New(Config{Command: command, Timeout: certfleet.Duration(10 * time.Second)}, dial.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestTargetPassesTheSuite(t *testing.T) {
	targettest.Run(t, func(t *testing.T) (certfleet.Target, targettest.Reader) {
		dir := t.TempDir()
		return newTarget(t, os.Args[0], "keep-in", dir), func(certificate string) ([]byte, []byte, error) {
			b, err := os.ReadFile(filepath.Join(dir, certificate))
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil, nil
			}
			var kept bundle
			err = errors.Join(err, json.Unmarshal(b, &kept))
			return []byte(kept.ChainPEM), []byte(kept.KeyPEM), err
		}
	})
}

func TestStateComesBackWithTheNextDelivery(t *testing.T) {
	target := newTarget(t, os.Args[0], "keep-in", t.TempDir())
	var before []certfleet.Receipt
	for want, v := "+", int64(1); v < 4; want, v = want+"+", v+1 {
		got, err := target.Deliver(t.Context(), []certfleet.Bundle{targettest.Bundle(t, "shop", v, "shop.example.com")}, before)
		if err != nil || got[0].Err != nil || string(got[0].State) != want {
			t.Fatalf("version %d: state %q, %v, %v; want %q", v, got[0].State, got[0].Err, err, want)
		}
		before = got
	}
}

func TestProgramsThatMisbehaveAreExplained(t *testing.T) {
	b := targettest.Bundle(t, "shop", 1, "shop.example.com")
	for _, row := range []struct{ name, script, want string }{
		{"fails", "echo no route to the box >&2; exit 4", "no route to the box"},
		{"says nothing", "cat >/dev/null", "no answer"},
		{"says rubbish", "echo hello", "not JSON"},
		{"complains", `echo '{"certificate":"shop","error":"disk full"}'`, "disk full"},
		{"another version", `echo '{"certificate":"shop","fingerprint":"00","applied":true}'`, "another version"},
		{"another certificate", `echo '{"certificate":"blog","fingerprint":"00","applied":true}'`, "no answer"},
		{"does not read", "exec 0<&-; exit 0", "no answer"},
	} {
		got, err := newTarget(t, "sh", "-c", row.script).Deliver(t.Context(), []certfleet.Bundle{b}, nil)
		if err != nil || got[0].Applied || got[0].Err == nil || !strings.Contains(got[0].Err.Error(), row.want) || certfleet.AdviceOf(got[0].Err) == "" {
			t.Errorf("%s: got %+v, %v; want %q with advice", row.name, got[0], err, row.want)
		}
	}
}

func TestWhatWasAnsweredBeforeAFailureCounts(t *testing.T) {
	a, b := targettest.Bundle(t, "a", 1, "a.example.com"), targettest.Bundle(t, "b", 1, "b.example.com")
	script := fmt.Sprintf(`echo '{"certificate":"a","fingerprint":%q,"applied":true}'; exit 1`, a.Fingerprint)
	got, err := newTarget(t, "sh", "-c", script).Deliver(t.Context(), []certfleet.Bundle{a, b}, nil)
	if err != nil || !got[0].Applied || got[0].Err != nil || got[1].Applied || got[1].Err == nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAKeyNeverComesBackInAnError(t *testing.T) {
	b := targettest.Bundle(t, "shop", 1, "shop.example.com")
	key := string([]byte(b.KeyPEM))
	inAnswer := fmt.Sprintf(`key=$(sed 's/.*"key_pem":"\([^"]*\)".*/\1/'); printf '{"certificate":"shop","fingerprint":"%s","error":"what is %%s?"}' "$key"`, b.Fingerprint)
	for _, script := range []string{"cat >&2; exit 1", "tail -c 700 >&2; exit 1", inAnswer} {
		got, _ := newTarget(t, "sh", "-c", script).Deliver(t.Context(), []certfleet.Bundle{b}, nil)
		said := fmt.Sprint(got[0].Err)
		if !strings.Contains(said, "withheld") || strings.Contains(said, key[60:80]) || strings.Contains(said, "MIG") {
			t.Errorf("%s: the error is %s", script, said)
		}
	}
}

func TestConfigIsRefusedWithAdvice(t *testing.T) {
	for _, c := range []Config{{}, {Command: []string{""}}} {
		if _, err := New(c, dial.Deps{}); certfleet.AdviceOf(err) == "" {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}
