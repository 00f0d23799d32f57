package certdeploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const somePubkey = "AAAAC3NzaC1lZDI1NTE5AAAAIP+H3Nk/9uSa7LHNt8fvCPKKkNFnVE5SGC5tnthf6/OK"

// serverFile writes a configuration, in which KEY and DIR are a key and a folder.
func serverFile(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "server_key")
	os.WriteFile(key, []byte("not looked at yet"), 0o600)
	file := filepath.Join(dir, "server.yml")
	text = strings.NewReplacer("KEY", key, "DIR", dir, "PUB", somePubkey).Replace(text)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const oneClient = "client_configs:\n  - address: 1.2.3.4\n    pubkey: ssh-ed25519 PUB comment\n    domains: [shop.example, '*.shop.example']\n"

func TestServerConfigOfEveryRelease(t *testing.T) {
	t.Parallel()
	base := "privkey_filename: KEY\nqueue_dir: DIR\n" + oneClient
	for name, row := range map[string]struct {
		text string
		want func(serverConfig) bool
	}{
		"defaults": {base, func(c serverConfig) bool {
			p := c.clients[0]
			return c.renew.every == 1 && c.renew.unit == "day" && c.renew.at == nil && slices.Equal(c.args, []string{"renew"}) && c.retries == 1 && c.retryInterval == 30*time.Second && c.banner == time.Minute &&
				!c.parallel && !c.failFast && c.level == "ERROR" && p.user == "certdeploy" && p.port == 22 && p.path == "/var/cache/certdeploy" && p.fullchain && p.key && !p.chain
		}},
		"everything": {base + "fail_fast: yes\nlog_level: INFO\nlog_filename: /dev/stderr\nsftp_log_level: DEBUG\nsftp_log_filename: null\nsftp_auth_timeout: 12.5\nsftp_banner_timeout: 90\nsftp_tcp_timeout: 7\nrenew_every: 2\nrenew_unit: ' Hour '\nrenew_at: ':30'\nrenew_exec: /bin/true\nrenew_args: [renew, --quiet]\nrenew_timeout: 60\npush_mode: parallel\npush_interval: 1_0\npush_retries: 0\npush_retry_interval: 0\njoin_timeout: 1.5\nclient_config_directory: null\n",
			func(c serverConfig) bool {
				return c.failFast && c.level == "INFO" && c.file == "/dev/stderr" && c.sftpLevel == "DEBUG" && c.auth == 12500*time.Millisecond && c.banner == 90*time.Second && c.tcpTimeout == 7*time.Second &&
					c.renew == (schedule{2, "hour", c.renew.at}) && *c.renew.at == clock{-1, 30, 0} && c.exec == "/bin/true" && slices.Equal(c.args, []string{"renew", "--quiet"}) && c.renewTimeout == time.Minute &&
					c.parallel && c.pushInterval == 10*time.Second && c.retries == 0 && c.retryInterval == 0 && c.joinTimeout == 1500*time.Millisecond
			}},
		"a time without quotes":     {base + "renew_at: 15:00\n", func(c serverConfig) bool { return *c.renew.at == clock{15, 0, 0} }},
		"a weekday every two weeks": {base + "renew_every: 2\nrenew_unit: monday\n", func(c serverConfig) bool { return c.renew.every == 2 && c.renew.unit == "monday" }},
		"weeks at a time":           {base + "renew_unit: week\nrenew_at: 09:00\n", func(c serverConfig) bool { return c.renew.unit == "week" && c.renew.at.hour == 9 }},
		"the manual's renew_every": {base + "renew_every: monday\nrenew_at: 09:00\n", func(c serverConfig) bool {
			return c.renew.every == 1 && c.renew.unit == "monday" && c.renew.at.hour == 9
		}},
		"the manual's check_renew": {base + "check_renew:\n  every: week\n", func(c serverConfig) bool { return c.renew.unit == "week" }},
		"the manual's private key": {strings.Replace(base, "privkey_filename", "private_key_file", 1), func(c serverConfig) bool { return strings.HasSuffix(c.key, "server_key") }},
		"a path that is null":      {base + "    path: null\n", func(c serverConfig) bool { return c.clients[0].path == "" }},
		"domains in one text": {strings.Replace(base, "[shop.example, '*.shop.example']", "shop.example www.shop.example", 1), func(c serverConfig) bool {
			return c.clients[0].wants("www.shop.example") && !c.clients[0].wants("shop")
		}},
		"no client list":              {strings.Replace(base, oneClient, "client_configs: null\nclient_config_directory: DIR/more\n", 1), nil},
		"retries of one client":       {base + "    push_retries: 42\n    push_retry_interval: 0\n", func(c serverConfig) bool { return *c.clients[0].retries == 42 && *c.clients[0].retryInterval == 0 }},
		"retries of one client, null": {base + "    push_retries: null\n", func(c serverConfig) bool { return *c.clients[0].retries == 1 }},
		"anchors and merge keys": {base + "  - <<: &more {pubkey: PUB, domains: [a.example]}\n    address: a\n  - <<: *more\n    address: b\n", func(c serverConfig) bool {
			return len(c.clients) == 3 && c.clients[2].address == "b" && c.clients[2].wants("a.example")
		}},
		"the last of two equal keys":    {base + "push_retries: 3\npush_retries: 4\n", func(c serverConfig) bool { return c.retries == 4 }},
		"a level in lower-case letters": {base + "log_level: debug\n", func(c serverConfig) bool { return c.check() == nil }},
	} {
		file := serverFile(t, row.text)
		if row.want == nil {
			more := filepath.Join(filepath.Dir(file), "more")
			os.MkdirAll(filepath.Join(more, "sub"), 0o700)
			for _, n := range []string{"b", "a.yml", ".hidden"} {
				os.WriteFile(filepath.Join(more, n), []byte("address: "+n+"\ndomains: [x]\npubkey: "+somePubkey), 0o600)
			}
			os.WriteFile(filepath.Join(more, "empty"), nil, 0o600)
			row.want = func(c serverConfig) bool {
				return len(c.clients) == 2 && c.clients[0].address == "a.yml" && c.clients[1].address == "b" && len(c.skipped) == 2
			}
		}
		c, err := loadServer(file)
		if err != nil || !row.want(c) {
			t.Errorf("%s: %v, %+v", name, err, c)
		}
	}
}

func TestServerConfigErrorsHaveTheOriginalsWords(t *testing.T) {
	t.Parallel()
	base := "privkey_filename: KEY\nqueue_dir: DIR\n" + oneClient
	for text, want := range map[string]string{
		base + "unknown: 1\n":                                         "Invalid config option: unexpected keyword argument 'unknown'",
		base + "    unknown: 1\n":                                     "Invalid client config option",
		base + "push_mode: both\n":                                    "Invalid value \"both\" for `push_mode`. `push_mode` must be \"serial\" or \"parallel\".",
		base + "push_interval: -1\n":                                  "`push_interval` must be an integer greater than or equal to 0.",
		base + "push_interval: 1.5\n":                                 "Invalid value \"1.5\" for `push_interval`",
		base + "push_retries: '3'\n":                                  "for `push_retries`",
		base + "push_retry_interval: -1\n":                            "for `push_retry_interval`",
		base + "join_timeout: -1\n":                                   "for `join_timeout`",
		base + "renew_every: 0\n":                                     "for `renew_every`",
		base + "renew_unit: days\n":                                   "for `renew_unit`",
		base + "renew_at: 900\n":                                      "Invalid `renew_at` value: 900",
		base + "log_level: LOUD\n":                                    "Invalid log level: LOUD",
		"queue_dir: DIR\n" + oneClient:                                "`privkey_filename` must be a file that exists.",
		"privkey_filename: KEY\nqueue_dir: DIR\nclient_configs: []\n": "No client configs given.",
		"privkey_filename: KEY\nqueue_dir: DIR/none\n" + oneClient:    "`queue_dir` must exist and be a directory writable by CertDeploy.",
		strings.Replace(base, "address: 1.2.3.4", "port: 22", 1):      "missing required argument 'address'",
		"- a\n- b\n": "not a mapping", "": "is empty", "a: [": "is not YAML", "a: *nobody\n": "is not YAML", base + "---\na: 1\n": "single document",
	} {
		if _, err := loadServer(serverFile(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, err := loadServer("/nowhere/server.yml"); err == nil || err.Error() != "[Errno 2] No such file or directory: '/nowhere/server.yml'" || errorName(err) != "FileNotFoundError" {
		t.Errorf("got %v", err)
	}
}

func TestIdentityIsTheOriginals(t *testing.T) {
	t.Parallel()
	p := peer{user: "certdeploy", address: "127.0.0.1", port: 33774}
	if p.identity() != "29760cf3dc670a079ce7788e99af9930895c685d" {
		t.Errorf("got %s", p.identity())
	}
}

func TestScalarsAreThoseOfYAML11(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0600": "384", "0o600": "no", "600": "600", "15:00": "900", "09:00": "no", "1_000": "1000", "0x1F": "31", "0b11": "3", "-5": "-5", "'7'": "no", "true": "no", "1.5": "no", "1e3": "no", "": "no", "099": "no",
	} {
		n, err := readYAML([]byte("x: " + text + "\n"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := "no"
		if v, ok := n.fields["x"].integer(); ok {
			got = fmt.Sprint(v)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{"yes": "true", "On": "true", "FALSE": "false", "off": "false", "y": "no", "'yes'": "no", "1": "no"} {
		n, _ := readYAML([]byte("x: " + text + "\n"))
		got := "no"
		if v, ok := n.fields["x"].boolean(); ok {
			got = fmt.Sprint(v)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func FuzzYAML(f *testing.F) {
	f.Add("privkey_filename: KEY\nclient_configs:\n  - &a {address: x, domains: [a], pubkey: b}\n  - *a\n")
	f.Add("a: &a [*a]\n")
	f.Add("a: &a [1,2]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n<<: [*a]\n")
	f.Add("renew_at: 15:00\nx: !!str 5\ny: |\n  text\n? complex\n: key\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := readYAML([]byte(text))
		if err != nil || n == nil {
			return
		}
		if n.size() > 2*maxNodes {
			t.Errorf("%d nodes of %d bytes", n.size(), len(text))
		}
		c := serverConfig{renew: schedule{every: 1, unit: "day"}}
		c.settings().read(n, "config")
	})
}

func TestHostKeysOfAllTypesAreTaken(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{
		"ed25519 with a comment": "ssh-ed25519 PUB root@edge",
		"bare":                   "PUB",
		"ecdsa":                  "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
	} {
		c, err := loadServer(serverFile(t, "privkey_filename: KEY\nqueue_dir: DIR\nclient_configs:\n  - {address: a, domains: [x], pubkey: '"+key+"'}\n"))
		if err == nil {
			err = c.clients[0].connect(&c, nil)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := loadServer(serverFile(t, "privkey_filename: KEY\nqueue_dir: DIR\nclient_configs:\n  - {address: a, domains: [x], pubkey: 'ssh-ed25519 nonsense'}\n"))
	if err == nil {
		err = c.clients[0].connect(&c, nil)
	}
	if err == nil || !strings.Contains(err.Error(), "Invalid value \"ssh-ed25519 nonsense\" for `pubkey`.") {
		t.Errorf("got %v", err)
	}
}

func TestTheClientIsNobodysAgent(t *testing.T) {
	t.Parallel()
	if !new(clientConfig).agent().Alone {
		t.Error("it would speak to a manager as the agent that lives beside it")
	}
}
