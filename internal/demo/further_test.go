package demo

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/trial"
)

func TestThePrintedCurlLinesWork(t *testing.T) {
	trial.InFull(t)
	trial.Program(t, "curl", "curl")
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, want := &watched{}, []string{`"label":"customer.test"`, missingName, "shop.demo.test is served with serial "}
	told := func(d *demo) {
		defer cancel()
		_, lines := d.commands()
		if len(lines) != len(want) {
			t.Errorf("%d lines, %d answers to expect", len(lines), len(want))
		}
		for i, line := range lines {
			if !strings.Contains(out.String(), line) {
				t.Errorf("not printed: %s", line)
			}
			got, err := sh(t, line)
			if err != nil || !strings.Contains(strings.ReplaceAll(got, `": "`, `":"`), want[i]) {
				t.Errorf("%s\nanswers %q: %v", line, got, err)
			}
		}
	}
	if err := Run(ctx, Options{Out: out, Dir: t.TempDir() + "/my demo", told: told}); err != nil {
		t.Error(err)
	}
}

// sh runs a line as it was printed; a proxy of this machine has no part in it.
func sh(t *testing.T, line string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", strings.Replace(line, "curl ", "curl --silent --show-error --fail ", 1))
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*")
	b, err := cmd.CombinedOutput()
	return string(b), err
}
