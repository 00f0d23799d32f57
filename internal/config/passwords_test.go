package config

import (
	"strings"
	"testing"

	"github.com/certfleet/certfleet"
)

func TestAPasswordInAURLIsRefusedAndNotRepeated(t *testing.T) {
	for settings, refused := range map[string]bool{
		`{"url": "redis://edge:hunter2@192.0.2.7:6379/9"}`:            true,
		`{"url": "redis://:hunter2@192.0.2.7"}`:                       true,
		`{"edges": [{"url": "https://u:hunter2@edge.test"}]}`:         true,
		`{"addrs": ["192.0.2.7:6379", "redis://:hunter2@192.0.2.8"]}`: true,
		`{"url": "redis://:hunter2@%zz/"}`:                            true,
		`{"url": "https://edge.test/?password=hunter2"}`:              true,
		"url: |\n  redis://edge:hunter2@192.0.2.7\n":                  true,
		"url: redis://edge:hunter2@192.0.2.7:6379/9\n":                true,
		`{"urls": "redis://h1,redis://:hunter2@h2"}`:                  true,
		`{"command": ["sh", "-c", "/bin/curl https://u:hunter2@h"]}`:  true,
		`{"command": ["sh", "-c", "/bin/curl https://h/ -m a@b"]}`:    false,
		`{"url": "redis://edge@192.0.2.7:6379/9"}`:                    false,
		`{"url": "env:REDIS_URL", "password": "file:/etc/redis"}`:     false,
		`{"url": "https://edge.test:8080/a@b"}`:                       false,
		`{"prefix": "a:b@c"}`:                                         false,
		``:                                                            false,
	} {
		s, err := NewSection("cache", "redis", []byte(settings))
		if err != nil {
			t.Fatal(err)
		}
		err = s.CheckPasswords()
		if (err != nil) != refused {
			t.Errorf("%s: %v", settings, err)
		}
		if err == nil {
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || certfleet.AdviceOf(Problems(err)[0]) == "" {
			t.Errorf("%s: the error is %q, which repeats it or has no advice", settings, err)
		}
	}
}
