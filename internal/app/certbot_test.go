package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/pki"
)

// certbot is a folder as certbot keeps it.
type certbot struct {
	*testing.T
	dir string
	ca  *pki.CA
	n   int
}

// write lays down the next pair of a lineage, only some of its links if any are named.
func (b *certbot) write(name string, links ...string) pki.Issued {
	b.Helper()
	b.n++
	i := issue(b.ca, name)
	for file, body := range map[string][]byte{"fullchain": i.ChainPEM, "privkey": i.KeyPEM} {
		path := filepath.Join(b.dir, "archive", name, fmt.Sprintf("%s%d.pem", file, b.n))
		os.MkdirAll(filepath.Dir(path), 0o700)
		if err := os.WriteFile(path, body, 0o600); err != nil {
			b.Fatal(err)
		}
		if len(links) == 0 || links[0] == file {
			b.link(name, file)
		}
	}
	return i
}

func (b *certbot) link(name, file string) {
	b.Helper()
	at := filepath.Join(b.dir, "live", name, file+".pem")
	os.MkdirAll(filepath.Dir(at), 0o700)
	os.Remove(at)
	if err := os.Symlink(fmt.Sprintf("../../archive/%s/%s%d.pem", name, file, b.n), at); err != nil {
		b.Fatal(err)
	}
}

func TestWhatCertbotRenewsInAWatchedFolderIsTakenOverAndDelivered(t *testing.T) {
	t.Parallel()
	ca, err := pki.NewCA("certbot's CA", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b := &certbot{T: t, dir: t.TempDir(), ca: ca}
	first := b.write("shop.example")
	conf := manager(t)
	conf.Certbot.Watch, conf.Certbot.Every, conf.Certbot.Targets = []string{b.dir}, certfleet.Duration(100*time.Millisecond), []string{"disk"}
	a := open(t, conf)
	c := client.New("http://offline", client.Options{HTTP: &http.Client{Transport: a.Offline("user:test")}})
	out := t.TempDir()
	if _, err := c.AddTarget(t.Context(), client.Target{Label: "disk", Type: "files", Spec: map[string]any{"dir": out}, Proof: "none"}); err != nil {
		t.Fatal(err)
	}
	(&fleet{App: a}).run(t)
	live := func(what string, want pki.Issued) {
		t.Helper()
		until(t, what, func() (bool, string) {
			got, err := os.ReadFile(filepath.Join(out, "live", "shop.example", "fullchain.pem"))
			return bytes.Equal(got, want.ChainPEM), fmt.Sprint(len(got), " bytes, ", err)
		})
	}
	is := func() *client.Certificate {
		t.Helper()
		got, err := c.Certificate(t.Context(), "shop.example")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	said := func(kind, text string) (n int) {
		t.Helper()
		for e, err := range c.Events(t.Context(), client.EventQuery{Kind: kind}) {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(e.Msg, text) {
				n++
			}
		}
		return n
	}
	live("what was there at the start", first)
	if got := is(); got.External != "certbot" || got.State != "paused" || !got.DueAt.IsZero() {
		t.Errorf("%+v", got)
	}
	second := b.write("shop.example")
	live("a renewal", second)

	// A pair waits until its key fits, and people are told when that takes long.
	third := b.write("shop.example", "fullchain")
	until(t, "people are told of what does not fit", func() (bool, string) {
		n := said("certbot.refused", "do not fit together")
		return n == 1, fmt.Sprint(n)
	})
	live("a half-written pair brings nothing", second)
	b.link("shop.example", "privkey")
	live("the whole pair", third)

	// Once it is ours, certbot's renewals are left aside, and people are told.
	if _, err := c.ResumeCertificate(t.Context(), "shop.example"); err != nil {
		t.Fatal(err)
	}
	b.write("shop.example")
	until(t, "people are told that two renew", func() (bool, string) {
		n := said("certbot.refused", "it is renewed here")
		return n == 1, fmt.Sprint(n)
	})
	if got := is(); got.External != "" || got.State != "active" {
		t.Errorf("ours: %+v", got)
	}
	live("what is ours stays", third)

	// What was removed here stays removed.
	if _, err := c.RemoveCertificate(t.Context(), "shop.example"); err != nil {
		t.Fatal(err)
	}
	b.write("shop.example")
	b.write("blog.example")
	until(t, "the next lineage", func() (bool, string) {
		_, err := c.Certificate(t.Context(), "blog.example")
		return err == nil, fmt.Sprint(err)
	})
	if got := is(); got.State != "removed" {
		t.Errorf("it came back: %+v", got)
	}
}
