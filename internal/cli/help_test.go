package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the golden files anew")

func quietProgram() (*program, *bytes.Buffer) {
	var out bytes.Buffer
	return &program{Streams: Streams{In: strings.NewReader(""), Out: &out, Err: &out}, now: time.Now}, &out
}

func every(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, sub := range cmd.Commands() {
		every(sub, do)
	}
}

func TestEveryCommandIsExplained(t *testing.T) {
	p, _ := quietProgram()
	n := 0
	every(p.root(), func(cmd *cobra.Command) {
		n++
		path := cmd.CommandPath()
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s has no short, long or example text", path)
		}
		if strings.HasSuffix(cmd.Short, ".") || len(cmd.Short) > 75 {
			t.Errorf("%s: short text %q ends with a dot or is too long", path, cmd.Short)
		}
		for line := range strings.Lines(cmd.Long) {
			if len(strings.TrimRight(line, "\n")) > 85 {
				t.Errorf("%s: this line is too long for a terminal: %s", path, line)
			}
		}
		if cmd.RunE == nil || cmd.Args == nil {
			t.Errorf("%s does not say what it does or takes", path)
		}
	})
	if n < 70 {
		t.Errorf("only %d commands are there", n)
	}
}

// flagIn finds flags in examples; --state and the like.
var flagIn = regexp.MustCompile(`(?:^|\s)--([a-z0-9-]+)`)

func TestExamplesUseFlagsThatExist(t *testing.T) {
	p, _ := quietProgram()
	root := p.root()
	every(root, func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			checkExample(t, root, strings.TrimSpace(line))
		}
	})
}

func checkExample(t *testing.T, root *cobra.Command, line string) {
	t.Helper()
	_, call, ok := strings.Cut(line, "certfleet ")
	if !ok {
		return
	}
	call, _, _ = strings.Cut(call, " | ")
	cmd, _, err := root.Find(strings.Fields(call))
	if err != nil || cmd == root && !strings.HasPrefix(call, "--") {
		t.Errorf("example %q calls no command: %v", line, err)
		return
	}
	for _, m := range flagIn.FindAllStringSubmatch(call, -1) {
		if cmd.Flags().Lookup(m[1]) == nil && root.PersistentFlags().Lookup(m[1]) == nil {
			t.Errorf("example %q uses flag --%s, which %s does not have", line, m[1], cmd.CommandPath())
		}
	}
}

func TestFlagsAreSaidWithoutLeavingHalfASentence(t *testing.T) {
	p, _ := quietProgram()
	every(p.root(), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: %q", cmd.CommandPath(), f.Name, f.Usage)
			}
		})
	})
}

// The help of all commands in one file shows in review what a change does to
// the face of the program.
func TestHelpIsAsItWas(t *testing.T) {
	p, out := quietProgram()
	every(p.root(), func(cmd *cobra.Command) {
		out.WriteString("$ " + cmd.CommandPath() + " --help\n")
		p.help(cmd, nil)
		out.WriteString("\n")
	})
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Bytes(); !bytes.Equal(got, want) {
		t.Errorf("help has changed at %s; look at it, then run go test ./internal/cli -update", firstDifference(got, want))
	}
}

func firstDifference(a, b []byte) string {
	as, bs := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return as[i]
		}
	}
	return "its end"
}
