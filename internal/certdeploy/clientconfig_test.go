package certdeploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/updater/docker"
	"github.com/certfleet/certfleet/internal/updater/initrc"
	"github.com/certfleet/certfleet/internal/updater/plugins"
	"github.com/certfleet/certfleet/internal/updater/script"
	"github.com/certfleet/certfleet/internal/updater/systemd"
)

// clientFile writes a configuration, in which DIR is a folder with a script in it.
func clientFile(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "source"), 0o700)
	os.WriteFile(filepath.Join(dir, "script.sh"), []byte("#!/bin/sh\n"), 0o700)
	file := filepath.Join(dir, "client.yml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const clientBase = "destination: DIR\nsource: DIR/source\n"

func TestUpdateDelayIsReadAsTheOriginalDoes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"1h": time.Hour, "'1h 30m'": 90 * time.Minute, "abc 1h30m xyz": 90 * time.Minute, "1.5m": 90 * time.Second, "2d": 48 * time.Hour, "1w": 7 * 24 * time.Hour, "0s": 0, "null": 0, "0.4s": 0,
	} {
		c, err := loadClient(clientFile(t, clientBase+"update_delay: "+text+"\n"))
		if err != nil || c.delay != want {
			t.Errorf("%s: %v, %v; want %v", text, c.delay, err, want)
		}
	}
	for _, text := range []string{"invalid", "60", "1H", "''", "[1h]", "9999999w"} {
		if _, err := loadClient(clientFile(t, clientBase+"update_delay: "+text+"\n")); err == nil || !strings.Contains(err.Error(), "for `update_delay`.") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestModesAreReadAsTheOriginalDoes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"511": "0777", "'0o777'": "0777", "'0777'": "0777", "'777'": "0777", "'1'": "0001", "0600": "0600", "0o600": "0600", "null": ""} {
		c, err := loadClient(clientFile(t, clientBase+"file_permissions: {mode: "+text+"}\n"))
		if err != nil || c.mode != want {
			t.Errorf("%s: %q, %v; want %q", text, c.mode, err, want)
		}
	}
	for _, text := range []string{"'9'", "-1", "true", "''", "600", "0", "0x1FF0", "[1]"} {
		if _, err := loadClient(clientFile(t, clientBase+"file_permissions: {mode: "+text+"}\n")); err == nil || !strings.Contains(err.Error(), "for `permissions.mode`.") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// settings of a service, as the updater gets them.
func updaterOf(t *testing.T, text string) (clientConfig, string, map[string]any) {
	t.Helper()
	c, err := loadClient(clientFile(t, clientBase+"systemd_exec: /bin/systemctl\nrc_service_exec: /usr/sbin/service\n"+text))
	if err != nil || len(c.updaters) != 1 {
		t.Fatalf("%s: %v, %d updaters", text, err, len(c.updaters))
	}
	var all struct {
		script.Config
		plugins.When
		systemd   systemd.Config
		container docker.ContainerConfig
		service   docker.ServiceConfig
		rc        initrc.Config
	}
	got := map[string]any{}
	var into any
	switch c.updaters[0].Type {
	case "script":
		into = &struct {
			script.Config
			plugins.When
		}{}
	case "systemd":
		into = &struct {
			systemd.Config
			plugins.When
		}{all.systemd, all.When}
	case "docker_container":
		into = &struct {
			docker.ContainerConfig
			plugins.When
		}{all.container, all.When}
	case "docker_service":
		into = &struct {
			docker.ServiceConfig
			plugins.When
		}{all.service, all.When}
	}
	if err := c.updaters[0].Decode(into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	b, _ := json.Marshal(into)
	json.Unmarshal(b, &got)
	return c, c.updaters[0].Type, got
}

func TestServicesBecomeUpdaters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]string{
		"update_services: [{type: systemd, name: nginx.service}]":                               {"unit": `"nginx.service"`, "action": `"restart"`, "systemctl": `"/bin/systemctl"`, "timeout": `"24h0m0s"`, "retries": "-1"},
		"update_sevices: [{type: systemd, name: 'a@b.timer', action: ' Reload '}]":              {"action": `"reload"`},
		"init_timeout: 7\nupdate_services: [{type: systemd, name: nginx.service}]":              {"timeout": `"7s"`},
		"systemd_timeout: 1.5\nupdate_services: [{type: systemd, name: nginx.service}]":         {"timeout": `"1.5s"`},
		"systemd_timeout: 9\nupdate_services: [{type: systemd, name: a.path, timeout: null}]":   {"timeout": `"24h0m0s"`},
		"update_services: [{type: rc, name: nginx, action: reload, timeout: 3}]":                {"command": `["/usr/sbin/service","nginx","reload"]`, "timeout": `"3s"`},
		"script_timeout: 4\nupdate_services: [{type: script, name: DIR/script.sh, unknown: 1}]": {"timeout": `"4s"`, "inherit": `["*"]`},
		"update_services: [{type: docker_container, name: web_1}]":                              {"name": `"web_1"`, "grace": `"10s"`, "host": `"unix:///var/run/docker.sock"`},
		"docker_timeout: 30\nupdate_services: [{type: docker_container, filters: {label: x}}]":  {"filters": `{"label":["x"]}`, "grace": `"30s"`},
		"update_services: [{type: docker_container, name: web, timeout: 0}]":                    {"grace": `"1s"`},
		"update_services: [{type: docker_container, name: web, timeout: null}]":                 {"grace": `"24h0m0s"`},
		"update_services: [{type: docker_container, name: web, filters: {label: [x, y]}}]":      {"name": "null", "filters": `{"label":["x","y"]}`},
		"update_services: [{type: docker_service, name: web, filters: {label: [x]}}]":           {"name": `"web"`, "filters": "null"},
		"docker_url: tcp://127.0.0.1:2375\nupdate_services: [{type: docker_service, name: w}]":  {"host": `"tcp://127.0.0.1:2375"`},
	} {
		_, _, got := updaterOf(t, text+"\n")
		for k, v := range want {
			if b, _ := json.Marshal(got[k]); string(b) != v {
				t.Errorf("%s: %s is %s, want %s", text, k, b, v)
			}
		}
	}
}

func TestClientConfigErrorsHaveTheOriginalsWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"source: DIR\n":                                                                                    "`destination` must be a directory that exists.",
		"destination: /dev/null\nsource: DIR\n":                                                            "Invalid value \"/dev/null\" for `destination`",
		"destination: DIR\nsource: /dev/null\n":                                                            "Invalid value \"/dev/null\" for `source`",
		clientBase + "what: 1\n":                                                                           "Invalid config option: unexpected keyword argument 'what'",
		clientBase + "sftpd: {what: 1}\n":                                                                  "Invalid SFTPD config option",
		clientBase + "file_permissions: {what: 1}\n":                                                       "Invalid Permissions config option",
		clientBase + "file_permissions: {owner: 1.2}\n":                                                    "for `permissions.owner`",
		clientBase + "file_permissions: {directory_mode: 0x3FF}":                                           "for `permissions.directory_mode`",
		clientBase + "log_level: loud\n":                                                                   "Invalid log level: loud",
		clientBase + "update_services: [{type: what, name: x}]":                                            "what is not a valid service type.",
		clientBase + "update_services: [{type: systemd, name: nginx}]":                                     "Invalid value \"nginx\" for systemd update service config `name`.",
		clientBase + "update_services: [{type: systemd, name: null}]":                                      "Invalid value \"None\" for systemd update service config `name`.",
		clientBase + "systemd_exec: /x\nupdate_services: [{type: systemd, name: a.service, action: stop}]": "for service a.service `action`.",
		clientBase + "update_services: [{type: systemd, name: 'a.service; rm'}]":                           "for systemd update service config `name`.",
		clientBase + "update_services: [{type: rc, name: ''}]":                                             "for rc service update config `name`.",
		clientBase + "update_services: [{type: script, name: /nowhere/x}]":                                 "Script file \"/nowhere/x\" for service /nowhere/x not found.",
		clientBase + "update_services: [{type: script, name: DIR/script.sh, timeout: '5'}]":                "for `timeout`.",
		clientBase + "update_services: [{type: docker_container}]":                                         "Either `filters` or `name` must be given in `docker_container` configs.",
		clientBase + "update_services: [{type: docker_service, filters: [x]}]":                             "`filters` must be a dictionary or `null`.",
		clientBase + "update_services: [{type: docker_container, name: '/x'}]":                             "for docker container config `name`.",
	} {
		if _, err := loadClient(clientFile(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestDaemonNeedsKeysBeforeItListens(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		clientBase: "`sftpd.privkey_filename` must be a file that exists.",
		clientBase + "sftpd: {privkey_filename: DIR/script.sh}\n":                                                           "Nobody may push",
		clientBase + "sftpd: {privkey_filename: DIR/script.sh, server_pubkey_filename: DIR/no}\n":                           "`sftpd.server_pubkey_filename` must be a file that exists.",
		"destination: DIR\nsource: DIR/source\nsftpd: {privkey_file: DIR/script.sh, server_pubkey: ssh-ed25519 nonsense}\n": "is not a private key without passphrase",
		clientBase + "sftpd: {private_key_file: DIR/script.sh, server_pubkey_file: DIR/script.sh, x: null}\n":               "Invalid SFTPD config option",
	} {
		out, status := run(t, "client", nil, "--daemon", "--config", clientFile(t, text))
		if status != 1 || !strings.Contains(out, want) {
			t.Errorf("%q: %d: %s, want %q", text, status, out, want)
		}
	}
}

func FuzzClientConfig(f *testing.F) {
	f.Add(clientBase + "update_services:\n- {type: script, name: x}\n- type: docker_container\n  filters: {a: [b]}\nupdate_delay: 1h\nsftpd: {listen_port: 22}\n")
	f.Add("update_services: [{}]\nfile_permissions: {mode: 0600}\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := readYAML([]byte(text))
		if err != nil || n == nil {
			return
		}
		var c clientConfig
		if c.settings().read(n, "config") == nil && c.readUpdaters() == nil {
			c.agent()
		}
	})
}
