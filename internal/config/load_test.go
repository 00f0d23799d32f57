package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
)

const full = `contact: tls@example.com
state_dir: /srv/certfleet
database: postgres://cf@db.example/cf
listen:
  api: 127.0.0.1:9443
  http01: off
  edge: 127.0.0.1:7201
  agents: :7444
certbot: {watch: [/etc/letsencrypt], every: 1m, targets: [edge]}
edge: {prefixes: [/.well-known/admin, /], trusted: [127.0.0.0/8]}
public_url: https://certfleet.example.com/
trusted_proxies: [10.0.0.0/8, "::1"]
log: {level: debug, format: json}
dns:
  resolvers:
    - 192.0.2.53
    - dns.example:5353
solvers:
  office:
    type: rfc2136
    server: 192.0.2.1
    ttl: 2m
  hook: {type: exec}
preflight: {mode: warn, addresses: [192.0.2.0/24], names: [Edge.Example.com.]}
limits: {body: 512KiB}
retention: {events: 30d}
`

func TestParseReadsEverySetting(t *testing.T) {
	c, err := Parse([]byte(full), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Path = "x.yaml"
	want.Contact = []string{"tls@example.com"}
	want.StateDir = "/srv/certfleet"
	want.Database = "postgres://cf@db.example/cf"
	want.Listen = Listen{API: "127.0.0.1:9443", HTTP01: Off, TLSALPN01: Off, Edge: "127.0.0.1:7201", Agents: ":7444"}
	want.Certbot = Certbot{Watch: []string{"/etc/letsencrypt"}, Every: certfleet.Duration(time.Minute), Policy: "default", Targets: []string{"edge"}}
	want.Edge = Edge{Prefixes: []string{"/.well-known/admin", "/"}, Trusted: Prefixes{netip.MustParsePrefix("127.0.0.0/8")}}
	want.PublicURL = "https://certfleet.example.com"
	want.TrustedProxies = Prefixes{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	want.Log = Log{Level: slog.LevelDebug, Format: "json"}
	want.DNS.Resolvers = []string{"192.0.2.53:53", "dns.example:5353"}
	want.Preflight = Preflight{Mode: PreflightWarn, Addresses: Prefixes{netip.MustParsePrefix("192.0.2.0/24")}, Names: []string{"edge.example.com"}}
	want.Limits.Body = 512 << 10
	want.Retention.Events = 30 * day
	sections := c.Solvers
	c.Solvers = nil
	if !same(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *c, *want)
	}
	if len(sections) != 2 || sections[0].Label != "office" || sections[1].Type != "exec" {
		t.Fatalf("solvers %+v", sections)
	}
}

func TestEmptyAndZeroMeanTheDefault(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "listen:\nlog: {level: , format: \"\"}\nwork: {workers: 0}\nprobe: {timeout: 0s}\ncontact: []\n"} {
		c, err := Parse([]byte(text), "")
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if !same(c, Default()) {
			t.Errorf("%q: got %+v", text, c)
		}
	}
}

func TestProblemsSayWhereWhatAndWhatToDo(t *testing.T) {
	for _, c := range []struct{ name, text, where, msg, advice string }{
		{"unknown", "listen:\n  ap: x\n", "f:2:3", `there is no setting "ap" in listen; did you mean "api"?`, `write "api"`},
		{"swapped letters", "databsae: x\n", "f:1:1", `did you mean "database"?`, "database"},
		{"nothing near", "colour: red\n", "f:1:1", `no setting "colour"`, "use one of database, state_dir"},
		{"address", "listen:\n  api: 7443\n", "f:2:8", `listen.api: "7443" is not an address`, "host:port"},
		{"port", "listen:\n  http01: :99999\n", "f:2:11", "not an address", "host:port"},
		{"duration", "probe:\n  timeout: soon\n", "f:2:12", `"soon" is not a duration`, "36h or 7d"},
		{"too long", "probe:\n  timeout: 24h\n", "f:2:12", "too long", "5m0s or less"},
		{"number", "work:\n  workers: many\n", "f:2:12", "whole number", "whole number"},
		{"too many", "work:\n  workers: 100000\n", "f:2:12", "out of range", "1 to 1000"},
		{"bool", "insecure: yes\n", "f:1:11", `"yes" is neither`, "true or false"},
		{"size", "limits:\n  body: 1 banana\n", "f:2:9", "not a size", "1MiB"},
		{"level", "log:\n  level: loud\n", "f:2:10", `"loud" is not a log level`, "debug, info"},
		{"format", "log:\n  format: xml\n", "f:2:11", `"xml"`, "text, json"},
		{"network", "trusted_proxies: [10.0.0.1/8]\n", "f:1:19", "bits set", "10.0.0.0/8"},
		{"contact", "contact: nobody\n", "f:1:10", "email", "tls@example.com"},
		{"preflight", "preflight:\n  mode: maybe\n", "f:2:9", `"maybe" is not known`, "auto, on, warn, off"},
		{"prefix", "edge:\n  prefixes: [well-known]\n", "f:2:", "is not a path", "/.well-known/peter_sslers"},
		{"plain edge", "listen:\n  edge: 0.0.0.0:7201\nedge:\n  plain: true\n", "f:4:", "without TLS", "insecure"},
		{"alias", "preflight:\n  names: [http://x]\n", "f:2:", "CNAME", "edge.example.com"},
		{"resolver", "dns:\n  resolvers: [a b]\n", "f:2:", "resolver", "host:port"},
		{"public url", "public_url: ftp://x\n", "f:1:13", "public_url", "https://HOST"},
		{"database", "database: mysql://x/y\n", "f:1:11", `"mysql" databases`, "postgres://"},
		{"plain", "listen:\n  api: 0.0.0.0:7443\ntls:\n  plain: true\n", "f:4:10", "without TLS", "insecure: true"},
		{"two ways", "tls: {plain: true, certificate: own}\n", "f:1:14", "exclude", "choose"},
		{"list for a word", "state_dir: [a]\n", "f:1:12", "has a list", "one value"},
		{"word for a section", "listen: 80\n", "f:1:9", "has a single value", "KEY: VALUE"},
		{"list at the top", "- a\n", "f:1:1", "the file has a list", "KEY: VALUE"},
		{"solver without type", "solvers:\n  a:\n    server: x\n", "f:2:3", "solvers.a has no type", "type:"},
		{"solver label", "solvers:\n  A B: {type: x}\n", "f:2:3", `"A B" is not a label`, "lower-case"},
		{"anchor", "state_dir: &x /a\n", "f:1:12", "anchors", "write the value out"},
		{"alias", "log: &x {level: info}\ndns: *x\n", "f:1:6", "anchors", "write the value out"},
		{"twice", "insecure: true\ninsecure: false\n", "f:2:1", "already defined", "check indentation"},
		{"indentation", "listen:\n  api: :1\n http01: :2\n", "f:3:", "not YAML", "check indentation"},
		{"second document", "insecure: true\n---\ninsecure: false\n", "f:3:", "second document", "one document"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text), "f")
			if err == nil {
				t.Fatal("accepted")
			}
			e := Problems(err)[0]
			if !strings.HasPrefix(e.Msg, c.where) || !strings.Contains(e.Msg, c.msg) || !strings.Contains(e.Advice, c.advice) || e.Kind != certfleet.Invalid {
				t.Errorf("%s\nadvice: %s", e.Msg, e.Advice)
			}
		})
	}
}

func TestAProblemShowsItsLine(t *testing.T) {
	_, err := Parse([]byte("state_dir: /a\nlisten:\n  htp01: :80 # here\n"), "f")
	want := "f:3:3: there is no setting \"htp01\" in listen; did you mean \"http01\"?\n    3 |   htp01…\n      |   ^"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestAllProblemsComeAtOnce(t *testing.T) {
	_, err := Parse([]byte("lisen: x\ninsecure: maybe\nwork: {workers: -1}\nlog:\n  levl: x\n"), "f")
	if got := Problems(err); len(got) != 4 {
		t.Errorf("%d problems:\n%v", len(got), err)
	}
}

func TestProblemsNeverRepeatASecret(t *testing.T) {
	for _, text := range []string{
		"pasword: hunter2\n",
		"{pasword: hunter2, levl: x}\n",
		"sealing_key: hunter2\n",
		"sealing_key: [hunter2]\n",
		"sealing_key: 'hunter2\n",
		"sealing_key: certfleet-key-v1:hunter2\n",
		"database: postgres://u:hunter2@[db/x\n",
		"database: postgres://u:hunter2@db:port/x\n",
		"database: |hunter2\n",
		"database: {url: hunter2}\n",
		"database:\n  - hunter2\n  -hunter2\n",
		"solvers:\n  a: hunter2\n",
		"solvers:\n  a: {secret: hunter2}\n",
		"public_url: https://u:hunter2@x\n",
	} {
		if _, err := Parse([]byte(text), "f"); err == nil {
			t.Errorf("%q was accepted", text)
		} else if strings.Contains(fmt.Sprintf("%v %+v", err, Problems(err)[0]), "hunter2") {
			t.Errorf("%q: the secret is in\n%v", text, err)
		}
	}
}

func TestAPasswordIsNeverPrinted(t *testing.T) {
	for _, text := range []string{"database: postgres://u:hunter2@db/x\n", "database: postgresql://u@db/x?password=hunter2&sslmode=require\n"} {
		c, err := Parse([]byte(text), "f")
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "env:NAME") {
			t.Errorf("warnings %q", c.Warnings)
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", c, "database", c.Database)
		for _, out := range []string{c.String(), log.String(), fmt.Sprintf("%v %+v %#v %s %q", c, *c, c, c.Database, c.Database)} {
			if strings.Contains(out, "hunter2") || !strings.Contains(out, "@db") {
				t.Errorf("printed %s", out)
			}
		}
		if d, err := c.ResolveDatabase(); err != nil || !strings.Contains(string(d), "hunter2") {
			t.Errorf("the database itself has lost its password: %v", err)
		}
	}
}

func TestDatabaseFollowsAReference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	os.WriteFile(path, []byte("postgres://u:p@h/x\n"), 0o600)
	t.Setenv("SOME_DB", "/data/x.db")
	for text, want := range map[string]string{
		"":                              "/var/lib/certfleet/certfleet.db",
		"state_dir: /s\n":               "/s/certfleet.db",
		"database: file:" + path + "\n": "postgres://u:p@h/x",
		"database: env:SOME_DB\n":       "/data/x.db",
		"database: /a/b.db\n":           "/a/b.db",
	} {
		c, err := Parse([]byte(text), "f")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.ResolveDatabase(); err != nil || string(got) != want || len(c.Warnings) > 0 {
			t.Errorf("%q: %q, want %q: %v, warnings %q", text, string(got), want, err, c.Warnings)
		}
	}
	t.Setenv("SOME_DB", "mysql://x")
	if _, err := (&Config{Database: "env:SOME_DB"}).ResolveDatabase(); certfleet.KindOf(err) != certfleet.Invalid {
		t.Errorf("a reference to nonsense: %v", err)
	}
}

func TestTheEnvironmentGoesBeforeTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	os.WriteFile(path, []byte("state_dir: /file\nlog: {level: warn}\n"), 0o600)
	for k, v := range map[string]string{
		"CERTFLEET_CONFIG": path, "CERTFLEET_LOG_LEVEL": "error", "CERTFLEET_LISTEN_HTTP01": ":8080",
		"CERTFLEET_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1", "CERTFLEET_DATABASE": "postgres://u:p@h/x",
		"CERTFLEET_SEALING_KEY": "certfleet-key-v1:x:y", "CERTFLEET_PROBE_TIMEOUT": "3s", "CERTFLEET_INSECURE": "true",
		"CERTFLEET_STAET_DIR": "/typo", "CERTFLEET_TOKEN": "not a setting",
	} {
		t.Setenv(k, v)
	}
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	if c.Path != path || c.StateDir != "/file" || c.Log.Level != slog.LevelError || c.Listen.HTTP01 != ":8080" || len(c.TrustedProxies) != 2 ||
		c.SealingKey != "env:CERTFLEET_SEALING_KEY" || time.Duration(c.Probe.Timeout) != 3*time.Second || !c.Insecure || !c.Database.Postgres() {
		t.Errorf("got %+v", c)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "did you mean CERTFLEET_STATE_DIR") {
		t.Errorf("warnings %q", c.Warnings)
	}
	t.Setenv("CERTFLEET_PROBE_TIMEOUT", "1h")
	if _, err := Load(""); err == nil || !strings.HasPrefix(err.Error(), "environment variable CERTFLEET_PROBE_TIMEOUT: ") {
		t.Errorf("got %v", err)
	}
}

func TestLoadSaysWhatToDoWithoutAFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if certfleet.KindOf(err) != certfleet.NotFound || !strings.Contains(certfleet.AdviceOf(err), "certfleet init") {
		t.Errorf("got %v", err)
	}
}

func TestBaseURLFollowsTheListener(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "https://127.0.0.1:7443",
		"tls: {plain: true}":          "http://127.0.0.1:7443",
		"public_url: https://a.test/": "https://a.test",
	} {
		c, err := Parse([]byte(text), "f")
		if err != nil || c.BaseURL() != want {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add(commented)
	for _, s := range []string{"a: &x [*x]", "? a\n: b", "<<: {a: b}", "solvers: {a: {type: [x]}}", "a: !!binary x", "'", "- - -", "contact: |\n a\n b", "listen: {api: {}}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text, "f")
		if (c == nil) == (err == nil) {
			t.Fatalf("neither or both: %v, %v", c, err)
		}
		for _, e := range Problems(err) {
			if e.Msg == "" || e.Advice == "" {
				t.Fatalf("a problem without words: %+v", e)
			}
		}
	})
}

// same compares the settings, wherever they stand.
func same(a, b *Config) bool {
	x, y := *a, *b
	x.Places, y.Places = Places{}, Places{}
	return reflect.DeepEqual(x, y)
}
