package certdeploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/certfleet/certfleet/internal/config"
)

// readUpdaters makes the updaters of update_services, in their order.
func (c *clientConfig) readUpdaters() error {
	used := map[string]int{}
	for i, n := range c.services {
		if n.kind != mapping {
			return badValue(n, fmt.Sprintf("update_services[%d]", i), "be a mapping")
		}
		kind := n.text1("type")
		typ, settings, err := c.service(kind, n)
		if err != nil {
			return err
		}
		settings["retries"] = -1 // one attempt; what fails is owed, and comes again
		text, err := json.Marshal(settings)
		if err != nil {
			return err
		}
		label := strings.TrimSpace(kind + " " + n.text1("name"))
		if used[label]++; used[label] > 1 {
			label = fmt.Sprintf("%s (%d)", label, used[label])
		}
		s, err := config.NewSection(label, typ, text)
		if err != nil {
			return err
		}
		c.updaters = append(c.updaters, s)
	}
	return nil
}

// text1 is a field that is one word; empty when it is none.
func (n *node) text1(key string) string {
	f := n.fields[key]
	if f.null() || f.kind != scalar {
		return ""
	}
	return f.text
}

func (c *clientConfig) service(kind string, n *node) (typ string, settings map[string]any, err error) {
	switch kind {
	case "script":
		return c.script(n)
	case "systemd":
		return c.unit(n)
	case "rc":
		return c.rcScript(n)
	case "docker_container", "docker_service":
		return c.docker(kind, n)
	}
	return "", nil, invalid("use one of script, systemd, rc, docker_container, docker_service", "%s is not a valid service type.", n.fields["type"])
}

// timed adds the service's timeout: its own, or that of its kind. null waits for
// ever.
func timed(n *node, of limit, settings map[string]any) error {
	d := of.Duration
	if own, there := n.fields["timeout"]; there {
		var ok bool
		if d, ok = own.seconds(); !ok {
			return badValue(own, "timeout", "be a number or `null`")
		}
	}
	if d <= 0 {
		d = forever
	}
	settings["timeout"], settings["limit"] = d.String(), (2*d + time.Minute).String()
	return nil
}

func (c *clientConfig) script(n *node) (string, map[string]any, error) {
	name := n.text1("name")
	if name == "" {
		return "", nil, badName(n, "script config")
	}
	path := name
	if !filepath.IsAbs(name) {
		if found, err := exec.LookPath(name); err == nil {
			path = found
		}
		if abs, err := filepath.Abs(path); err == nil {
			path = abs // else the program would be looked for in the PATH again
		}
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return "", nil, invalid("correct the name, or install the script", "Script file \"%s\" for service %s not found.", path, name)
	}
	settings := map[string]any{"command": []string{path}, "inherit": []string{"*"}}
	return "script", settings, timed(n, c.scriptTime, settings)
}

func badName(n *node, desc string) error {
	return invalid("correct the name", "Invalid value \"%s\" for %s `name`.", n.fields["name"], desc)
}

// action is restart or reload; nothing is restart.
func action(n *node, name string) (string, error) {
	switch a := strings.ToLower(strings.TrimSpace(n.text1("action"))); a {
	case "":
		return "restart", nil
	case "restart", "reload":
		return a, nil
	}
	return "", invalid("use restart or reload", "Invalid value \"%s\" for service %s `action`.", n.fields["action"], name)
}

var unitName = regexp.MustCompile(`(?i)^[a-z0-9:_,.\\-]+(@[a-z0-9:_,.\\-]*)?\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$`)

func (c *clientConfig) unit(n *node) (string, map[string]any, error) {
	name := n.text1("name")
	if !unitName.MatchString(name) {
		return "", nil, badName(n, "systemd update service config")
	}
	if c.systemd == "" {
		return "", nil, invalid("install systemd, or set systemd_exec", "Invalid value \"None\" for `systemd_exec`. There is no systemctl in the PATH.")
	}
	act, err := action(n, name)
	if err != nil {
		return "", nil, err
	}
	settings := map[string]any{"unit": name, "action": act, "systemctl": c.systemd}
	return "systemd", settings, timed(n, c.initTime, settings)
}

func (c *clientConfig) rcScript(n *node) (string, map[string]any, error) {
	name := n.text1("name")
	if name == "" || strings.HasPrefix(name, "-") {
		return "", nil, badName(n, "rc service update config")
	}
	act, err := action(n, name)
	if err != nil {
		return "", nil, err
	}
	if c.rc == "" { // then the script itself
		settings := map[string]any{"name": name, "action": act}
		return "initrc", settings, timed(n, c.initTime, settings)
	}
	settings := map[string]any{"command": []string{c.rc, name, act}}
	return "script", settings, timed(n, c.initTime, settings)
}

var containerName = regexp.MustCompile(`^[a-zA-Z0-9_.-]`)

// engineTime bounds a restart beyond the time that a container has to end.
const engineTime = 10 * time.Minute

func (c *clientConfig) docker(kind string, n *node) (string, map[string]any, error) {
	desc := map[string]string{"docker_container": "docker container config", "docker_service": "docker service config"}[kind]
	name, filters := n.text1("name"), map[string][]string{}
	if f := n.fields["filters"]; !f.null() {
		if f.kind != mapping {
			return "", nil, invalid("write KEY: VALUE below it", "Invalid value \"%s\" for %s `filters`. `filters` must be a dictionary or `null`.", f, desc)
		}
		for _, k := range f.keys {
			words, ok := f.fields[k].words()
			if !ok {
				return "", nil, badValue(f.fields[k], "filters."+k, "be text or a list of texts")
			}
			filters[k] = words
		}
	}
	switch {
	case name == "" && len(filters) == 0:
		return "", nil, invalid("name what is to be updated", "Either `filters` or `name` must be given in `%s` configs.", kind)
	case name != "" && !containerName.MatchString(name):
		return "", nil, badName(n, desc)
	}
	settings := map[string]any{"host": c.dockerURL, "timeout": engineTime.String(), "limit": (engineTime + time.Minute).String()}
	if len(filters) > 0 && (name == "" || kind == "docker_container") { // which one counts differs, as it always did
		settings["filters"] = filters
	} else {
		settings["name"] = name
	}
	if kind == "docker_container" {
		grace := map[string]any{}
		if err := timed(n, c.dockerTime, grace); err != nil {
			return "", nil, err
		}
		d, _ := time.ParseDuration(grace["timeout"].(string))
		if own := n.fields["timeout"]; !own.null() {
			d, _ = own.seconds() // 0 is at once, not for ever
		}
		settings["grace"] = max(d, time.Second).String()
		settings["timeout"], settings["limit"] = (d + engineTime).String(), (d + engineTime + time.Minute).String()
	}
	return kind, settings, nil
}
