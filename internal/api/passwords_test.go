package api

import (
	"strings"
	"testing"
)

// TestOnlyPasswordsAreHidden has what is shown goes back by a change of another
// setting: what is no password must stay as it is.
func TestOnlyPasswordsAreHidden(t *testing.T) {
	for text, hidden := range map[string]bool{
		"redis://edge:hunter2@192.0.2.7:6379/9":           true,
		"unix://edge:hunter2@/run/redis.sock":             true,
		"https://edge.test/?password=hunter2":             true,
		"redis://:hunter2@%zz/":                           true,
		"redis://h1,redis://:hunter2@h2":                  true,
		"/bin/curl https://u:hunter2@edge.test":           true,
		"https://edge.test:8080/a@b":                      false,
		"https://edge.test/?to=Ops@Example.com&a=B%2fc":   false,
		"redis://edge@192.0.2.7:6379/9":                   false,
		"/bin/curl https://edge.test/ -m ops@example.com": false,
		"/usr/bin/notify --to ops@example.com":            false,
		"file:/etc/certfleet/redis":                       false,
	} {
		got := withoutPasswords(text)
		if s, _ := got.(string); strings.Contains(s, "hunter2") || (s != text) != hidden {
			t.Errorf("%s is shown as %v", text, got)
		}
	}
}
