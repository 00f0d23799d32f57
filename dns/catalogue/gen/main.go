// Command gen writes the catalogue from the descriptions that lego's module
// carries beside its providers.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/certfleet/certfleet/dns/catalogue"
)

// manual asks a person at a terminal, which a child has not.
const manual = "manual"

type description struct {
	Name, Code    string
	Configuration struct{ Credentials, Additional map[string]any }
}

func main() {
	out := flag.String("o", "catalogue.json", "file to write")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write(path string) error {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-acme/lego/v5").Output()
	if err != nil {
		return fmt.Errorf("find lego's module: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(dir)), "providers", "dns")
	entries, err := read(root)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(entries, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func read(root string) ([]catalogue.Entry, error) {
	aliases, err := aliasesIn(filepath.Join(root, "zz_gen_dns_providers.go"))
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(root, "*", "*.toml"))
	if err != nil {
		return nil, err
	}
	var out []catalogue.Entry
	for _, f := range files {
		var d description
		if _, err := toml.DecodeFile(f, &d); err != nil {
			return nil, fmt.Errorf("read %s: %w", f, err)
		}
		if d.Code == manual {
			continue
		}
		out = append(out, catalogue.Entry{Name: d.Code, Aliases: aliases[d.Code], Title: d.Name, Credentials: names(d.Configuration.Credentials), Settings: names(d.Configuration.Additional)})
	}
	slices.SortFunc(out, func(a, b catalogue.Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func names(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

var switchCase = regexp.MustCompile(`(?m)^\tcase (.+):$`)

// aliasesIn reads the factory's switch, where the provider's name comes first.
func aliasesIn(path string) (map[string][]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, m := range switchCase.FindAllStringSubmatch(string(b), -1) {
		all := strings.Split(strings.ReplaceAll(m[1], `"`, ""), ", ")
		out[all[0]] = all[1:]
	}
	return out, nil
}
