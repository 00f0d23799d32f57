package certfleet_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/certfleet/certfleet"

// leaves are the rooms that every room may import.
const leaves = "internal/pki internal/dial internal/dnsq internal/abreast"

// arrows says which rooms a room may import besides the root package and the
// leaves. A room that is not listed may import nothing else of the house.
var arrows = map[string]string{
	"cmd":               "internal/app internal/config internal/cli internal/demo internal/agent internal/certdeploy",
	"client":            "internal/api",
	"examples":          "client",
	"dns":               "dns",
	"bench":             "internal client",
	"internal/app":      "internal",
	"internal/agent":    "internal/probe internal/api internal/updater internal/config internal/target/files",
	"internal/cli":      "internal/api client internal/app internal/config internal/demo internal/agent internal/certdeploy internal/simulate internal/plan internal/takeover internal/porter/petersslers",
	"internal/demo":     "lua internal/agent internal/app internal/config internal/pebble internal/fakeca internal/api internal/intake internal/store internal/keeper client",
	"internal/deliver":  "internal/store internal/plan internal/keystore internal/probe",
	"internal/enroll":   "internal/store internal/keystore internal/api",
	"internal/intake":   "internal/store internal/plan internal/api",
	"internal/issue":    "internal/store internal/plan internal/keystore internal/acme internal/preflight",
	"internal/demand":   "internal/store internal/plan internal/intake internal/api",
	"internal/edge":     "internal/store internal/keystore",
	"internal/keeper":   "internal/keeper",
	"internal/takeover": "internal/api client internal/porter/petersslers",
	"internal/notify":   "internal/store internal/plan",
	"internal/porter":   "internal/store internal/plan internal/keystore",
	"internal/web":      "internal/store internal/plan internal/keystore internal/api internal/probe internal/porter internal/intake internal/edge internal/enroll",
	"internal/store":    "internal/store",
	"internal/updater":  "internal/updater internal/config",
	"internal/work":     "internal/store",
	"internal/target":   "internal/updater internal/target/targettest",
	// simulations need what decides, and a CA
	"internal/simulate": "internal/store internal/plan internal/issue internal/acme internal/fakeca",
	// the folder's own services
	"internal/target/files": "internal/config",

	"internal/certdeploy": "internal/agent internal/config internal/target/sftp internal/updater",

	"internal/keystore/stored": "internal/keystore internal/store",

	"internal/store/storetest":        "internal/trial",
	"internal/target/redis/redistest": "internal/porttest internal/trial",
	"internal/target/sftp/sshtest":    "internal/porttest internal/trial",
}

// confined names what may be imported by few rooms only.
var confined = map[string]string{
	"github.com/go-acme/lego/":       "dns",
	"github.com/riverqueue/river":    "internal/work",
	"github.com/jackc/pgx/":          "internal/store internal/work",
	"modernc.org/sqlite":             "internal/store internal/work internal/certdeploy internal/porter/petersslers",
	"github.com/letsencrypt/pebble/": "internal/pebble",
	"github.com/danielgtaylor/huma/": "internal/web",
	"github.com/prometheus/":         "internal/web internal/app",
	"github.com/spf13/cobra":         "internal/cli cmd",
	"database/sql":                   "internal/store internal/work internal/source internal/porter internal/certdeploy",
}

// TestArrows parses the imports itself, because go list can be served from a cache.
func TestArrows(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		room := filepath.ToSlash(filepath.Dir(path))
		for _, spec := range f.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			checkImport(t, path, room, p)
		}
		return nil
	})
	if err != nil || files < 8 {
		t.Fatalf("walked %d files: %v", files, err)
	}
}

func checkImport(t *testing.T, path, room, p string) {
	if to, ok := strings.CutPrefix(p, module+"/"); ok && !mayImport(room, to) {
		t.Errorf("%s: %s may not import %s; the arrows are drawn in docs/design.md", path, room, to)
	}
	for prefix, rooms := range confined {
		if strings.HasPrefix(p, prefix) && !(p == "database/sql/driver") && !withinAny(room, rooms) {
			t.Errorf("%s: %s may not import %s; only %s may", path, room, p, rooms)
		}
	}
	if p == "net/http" && (room == "." || withinAny(room, "internal/plan internal/keystore internal/store")) {
		t.Errorf("%s: %s has no business with net/http", path, room)
	}
}

func mayImport(room, to string) bool {
	if withinAny(to, leaves) || within(to, room) || (within(room, "dns") && to == "internal/solver/lego/wire") {
		return true
	}
	for from, list := range arrows {
		if within(room, from) && withinAny(to, list) {
			return true
		}
	}
	return false
}

func withinAny(dir, roots string) bool {
	for _, r := range strings.Fields(roots) {
		if within(dir, r) {
			return true
		}
	}
	return false
}

func within(dir, root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") }
