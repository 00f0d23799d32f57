package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/cli"
)

// command is what the command line's own help says of one command.
type command struct {
	subs, flags map[string]bool
	foreign     bool // a program of its own that takes the rest of the line
}

// tree asks for help and remembers the answers.
type tree map[string]*command

var (
	helpFlag = regexp.MustCompile(`(?m)^  (?:(-\w), )?(--[a-z0-9-]+)`)
	helpSub  = regexp.MustCompile(`(?m)^  ([a-z][a-z_-]*) {2,}\S`)
)

func (k tree) at(t *testing.T, path string) *command {
	t.Helper()
	if c := k[path]; c != nil {
		return c
	}
	var out bytes.Buffer
	if code := cli.Main(append(strings.Fields(path), "--help"), cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}); code != 0 {
		t.Fatalf("certfleet %s --help ended with %d: %s", path, code, &out)
	}
	c := &command{subs: map[string]bool{}, flags: map[string]bool{"--help": true}}
	_, body, ok := strings.Cut(out.String(), "\nUsage\n")
	c.foreign = !ok
	if c.foreign && path == "" {
		t.Fatalf("help has another form than this test reads:\n%s", &out)
	}
	examples, lists := section(body)
	for _, m := range helpFlag.FindAllStringSubmatch(lists, -1) {
		c.flags[m[1]], c.flags[m[2]] = true, true
	}
	if path == "" || strings.Contains(examples, "COMMAND") {
		for _, m := range helpSub.FindAllStringSubmatch(lists, -1) {
			c.subs[m[1]] = true
		}
	}
	k[path] = c
	return c
}

// section parts usage and examples from the lists of commands and flags.
func section(body string) (examples, lists string) {
	parts := strings.Split(body, "\n\n")
	for i, p := range parts {
		if i == 0 || strings.HasPrefix(p, "Examples") {
			examples += p + "\n"
		} else {
			lists += p + "\n"
		}
	}
	return examples, lists
}

// check says what is wrong with a command line, as words after the program.
func (k tree) check(t *testing.T, words []string) string {
	path, here, value := "", k.at(t, ""), false
	for _, w := range words {
		w = strings.Trim(w, `'"`)
		flag, _, whole := strings.Cut(w, "=")
		was := value
		value = strings.HasPrefix(flag, "-") && !whole // the next word may be its value
		switch {
		case strings.HasPrefix(flag, "-") && len(flag) > 1 && !here.foreign:
			if !here.flags[flag] && !k.at(t, "").flags[flag] {
				return fmt.Sprintf("certfleet %s has no flag %s", path, flag)
			}
		case was:
		case here.foreign:
			return ""
		case here.subs[w]:
			path = strings.TrimSpace(path + " " + w)
			here = k.at(t, path)
		case path == "" && regexp.MustCompile(`^[a-z]`).MatchString(w):
			return "there is no command certfleet " + w
		case len(here.subs) > 0 && path != "" && regexp.MustCompile(`^[a-z]+$`).MatchString(w):
			return fmt.Sprintf("there is no command certfleet %s %s", path, w)
		}
	}
	return ""
}

// calls are the words after each certfleet in a line of shell.
func calls(line string) (out [][]string) {
	line, _, _ = strings.Cut(line, " # ")
	for _, part := range regexp.MustCompile(`[|;<>()]|&&|\s{2,}`).Split(line, -1) {
		words := strings.Fields(part)
		for i, w := range words {
			if w == "certfleet" || strings.HasSuffix(w, "/certfleet") && !strings.HasPrefix(w, "file:") {
				if prefixed(words[:i]) {
					out = append(out, words[i+1:])
				}
				break
			}
		}
	}
	return out
}

// prefixed reports whether words may stand before a program: assignments, sudo
// and its like, a prompt.
func prefixed(words []string) bool {
	for _, w := range words {
		known := strings.Contains(" sudo -u certfleet go run $ exec xargs ", " "+w+" ")
		if !known && !strings.Contains(w, "=") && !strings.HasPrefix(w, "*") && !regexp.MustCompile(`^\d+$`).MatchString(w) {
			return false
		}
	}
	return true
}

func TestCommandsInTheDocumentsExist(t *testing.T) {
	atTheTop(t)
	k, checked := tree{}, 0
	try := func(where, line string) {
		for _, words := range calls(line) {
			checked++
			if wrong := k.check(t, words); wrong != "" {
				t.Errorf("%s: %s\n  %s", where, wrong, strings.TrimSpace(line))
			}
		}
	}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", " ")) {
				try(p.path, line)
			}
		}
		for _, c := range p.code {
			try(p.path, c)
		}
	}
	for _, path := range files(t, ".service", ".yaml") {
		for line := range strings.Lines(read(t, path)) {
			_, run, _ := strings.Cut(strings.TrimLeft(line, "# "), "ExecStart=")
			try(path, run)
		}
	}
	if checked < 50 {
		t.Errorf("only %d command lines were found; the test is blind", checked)
	}
}

// TestFlagsInTheDocumentsExist looks at flags that stand alone in code type: some
// command has to know each.
func TestFlagsInTheDocumentsExist(t *testing.T) {
	atTheTop(t)
	known, k := map[string]bool{}, tree{}
	var walk func(path string)
	walk = func(path string) {
		here := k.at(t, path)
		for flag := range here.flags {
			known[flag] = true
		}
		for sub := range here.subs {
			walk(strings.TrimSpace(path + " " + sub))
		}
	}
	walk("")
	for _, p := range pages(t) {
		for _, c := range p.code {
			if flag := regexp.MustCompile(`^--[a-z0-9-]+`).FindString(c); flag != "" && !known[flag] {
				t.Errorf("%s names the flag %s, which no command has", p.path, flag)
			}
		}
	}
}

func TestMakeWordsInTheDocumentsExist(t *testing.T) {
	atTheTop(t)
	makefile := read(t, "Makefile")
	for _, p := range pages(t) {
		for _, c := range p.code {
			m := regexp.MustCompile(`^make ([a-z-]+)`).FindStringSubmatch(c)
			if m != nil && !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s says make %s, which the Makefile does not know", p.path, m[1])
			}
		}
	}
}

// TestTheExampleFleetCanBeApplied applies it to a manager that was just set up,
// twice: the second time nothing may differ.
func TestTheExampleFleetCanBeApplied(t *testing.T) {
	atTheTop(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "certfleet.yaml")
	run := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if code := cli.Main(append(args, "--config", conf), cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}); code != 0 {
			t.Fatalf("certfleet %s ended with %d: %s", strings.Join(args, " "), code, &out)
		}
		return out.String()
	}
	run("init", "--state-dir", filepath.Join(dir, "state"), "--agree")
	fleet := filepath.Join("examples", "fleet.yaml")
	run("apply", "--offline", "-f", fleet, "--dry-run")
	run("apply", "--offline", "-f", fleet)
	if said := run("apply", "--offline", "-f", fleet); !strings.Contains(said, "0 changed") {
		t.Errorf("the second time it said: %s", said)
	}
	if _, err := os.Stat(conf); err != nil {
		t.Error(err)
	}
}
