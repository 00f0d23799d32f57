package cli_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/solver/acmedns"
	"github.com/certfleet/certfleet/internal/solver/dnsexec"
	"github.com/certfleet/certfleet/internal/solver/lego"
	"github.com/certfleet/certfleet/internal/solver/rfc2136"
)

// page is one Markdown file, cut into what a machine can check.
type page struct {
	path, text string
	blocks     []block  // fenced
	code       []string // inline
}

type block struct{ lang, text string }

var (
	fence  = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	inline = regexp.MustCompile("`([^`\n]+)`")
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"`)
)

// atTheTop puts the test at the top of the repository, where every path begins. The
// tests of documents read them and ask the program whether what they say is so.
func atTheTop(t *testing.T) {
	t.Helper()
	t.Chdir("../..")
}

// pages are all Markdown files of the repository.
func pages(t *testing.T) (all []page) {
	t.Helper()
	for _, path := range files(t, ".md") {
		text := read(t, path)
		p := page{path: path, text: text}
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			p.blocks = append(p.blocks, block{m[1], m[2]})
		}
		for _, m := range inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			p.code = append(p.code, m[1])
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("found %d pages; the walk is broken", len(all))
	}
	return all
}

func files(t *testing.T, suffixes ...string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && slices.Contains([]string{".git", "bin", "dist", "testdata"}, e.Name()) {
			return fs.SkipDir
		}
		if err == nil && slices.Contains(suffixes, filepath.Ext(path)) {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLinksInTheDocumentsLeadSomewhere(t *testing.T) {
	atTheTop(t)
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
			checkLink(t, p, m[1]+m[2])
		}
	}
}

func checkLink(t *testing.T, p page, to string) {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return
	}
	file, anchor, _ := strings.Cut(to, "#")
	path, text := p.path, p.text
	if file != "" {
		path = filepath.Join(filepath.Dir(p.path), file)
		b, err := os.ReadFile(path)
		if err != nil && !isDir(path) {
			t.Errorf("%s links to %s, which is not there", p.path, to)
			return
		}
		text = string(b)
	}
	if anchor != "" && !slices.Contains(anchors(text), anchor) {
		t.Errorf("%s links to %s, but %s has no such heading", p.path, to, path)
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// anchors are the headings of a page as links name them.
func anchors(text string) (out []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(slug, " ", "-"))
	}
	return out
}

// TestPathsInTheDocumentsExist looks at words in code type that begin with a
// folder of the repository.
func TestPathsInTheDocumentsExist(t *testing.T) {
	atTheTop(t)
	for _, p := range pages(t) {
		for _, c := range p.code {
			top, _, ok := strings.Cut(c, "/")
			if !ok || !isDir(top) || strings.ContainsAny(c, " (") {
				continue
			}
			c = regexp.MustCompile(`\.[A-Z]\w*$`).ReplaceAllString(c, "") // an identifier in a package
			if found, err := filepath.Glob(c); err != nil || len(found) == 0 {
				t.Errorf("%s names %s, which is not there", p.path, c)
			}
		}
	}
}

// TestSettingsInTheDocumentsExist looks for section.key in code type.
func TestSettingsInTheDocumentsExist(t *testing.T) {
	atTheTop(t)
	known := settings()
	sections := map[string]bool{}
	for path := range known {
		if top, _, ok := strings.Cut(path, "."); ok {
			sections[top] = true
		}
	}
	for _, p := range pages(t) {
		for _, c := range p.code {
			c, _, _ = strings.Cut(c, ": ")
			top, _, dotted := strings.Cut(c, ".")
			if dotted && sections[top] && regexp.MustCompile(`^[a-z0-9_.]+$`).MatchString(c) && filepath.Ext(c) != ".go" && !known[c] {
				t.Errorf("%s names the setting %s, which the commented file does not have", p.path, c)
			}
		}
	}
}

// settings are the paths in the commented configuration.
func settings() map[string]bool {
	out, section := map[string]bool{}, ""
	for line := range strings.Lines(config.Commented()) {
		m := regexp.MustCompile(`^( *)#?([a-z0-9_]+):`).FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[1] == "" && !strings.HasPrefix(line, "#") && strings.TrimSpace(line) == m[2]+":":
			section = m[2]
			out[section] = true
		case m[1] == "":
			section = ""
			out[m[2]] = true
		case m[1] == "  ":
			out[section+"."+m[2]] = true
		}
	}
	return out
}

// TestConfigurationInTheDocumentsIsAccepted reads every YAML block as it would
// be read from a file, sections of solvers too.
func TestConfigurationInTheDocumentsIsAccepted(t *testing.T) {
	atTheTop(t)
	read := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.lang != "yaml" || strings.Contains(b.text, "groups:") { // rules for Prometheus
				continue
			}
			read++
			c, err := config.Parse([]byte(b.text), p.path)
			if err != nil {
				t.Errorf("%s: %v\n%s", p.path, err, b.text)
				continue
			}
			for _, s := range c.Solvers {
				checkSolver(t, p.path, s)
			}
		}
	}
	if read == 0 {
		t.Error("no document shows a piece of configuration; the test is blind")
	}
}

func checkSolver(t *testing.T, path string, s config.Section) {
	into := map[string]any{"dnsexec": &dnsexec.Config{}, "rfc2136": &rfc2136.Config{}, "lego": &lego.Config{}, "acmedns": &acmedns.Config{}}[s.Type]
	if into == nil {
		t.Errorf("%s: solver %s has type %q, which is not known", path, s.Label, s.Type)
		return
	}
	if err := s.Decode(into); err != nil {
		t.Errorf("%s: %v", path, err)
	}
}

func TestMetricsInTheDocumentsExist(t *testing.T) {
	atTheTop(t)
	source := read(t, "internal/web/metrics.go")
	for _, p := range pages(t) {
		for _, m := range regexp.MustCompile(`\bcertfleet_([a-z_]+)`).FindAllStringSubmatch(p.text, -1) {
			if !strings.Contains(source, `desc("`+m[1]+`"`) {
				t.Errorf("%s names the metric %s, which is not there", p.path, m[0])
			}
		}
	}
}

// TestEnvironmentVariablesInTheDocumentsExist asks the settings, and else the
// sources, for every variable that is named.
func TestEnvironmentVariablesInTheDocumentsExist(t *testing.T) {
	atTheTop(t)
	known := map[string]bool{}
	for path := range settings() {
		known[config.EnvName(path)] = true
	}
	variable := regexp.MustCompile(`\bCERTFLEET_[A-Z0-9_]+\b`)
	for _, path := range append(files(t, ".go"), "Makefile") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, name := range variable.FindAllString(read(t, path), -1) {
			known[name] = true
		}
	}
	for _, p := range pages(t) {
		for _, name := range variable.FindAllString(p.text, -1) {
			if !known[name] {
				t.Errorf("%s names %s, which nothing reads", p.path, name)
			}
		}
	}
}

// TestTheProjectSpeaksOfItselfAlone keeps out what only its makers know.
func TestTheProjectSpeaksOfItselfAlone(t *testing.T) {
	atTheTop(t)
	foreign := regexp.MustCompile(`(?i)\bsessions?\b|\bissue #?\d|(^|[^S] |\()#\d+\b|/home/\w|\bTO` + `DO\b`)
	for _, path := range files(t, ".md", ".yaml", ".service", ".timer") {
		for n, line := range strings.Split(read(t, path), "\n") {
			if m := foreign.FindString(line); m != "" {
				t.Errorf("%s:%d: %q has no place here", path, n+1, m)
			}
		}
	}
}
