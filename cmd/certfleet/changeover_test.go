package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/certfleet/certfleet/internal/target/sftp/sshtest"
)

// machine is a root folder on which the commands of a page are run.
type machine struct {
	*testing.T
	root string
}

// sh runs commands of the page, with this machine's folders in place of a real one's.
func (m machine) sh(commands string, env ...string) {
	m.Helper()
	commands = strings.NewReplacer("/usr/", m.root+"/usr/", "/etc/", m.root+"/etc/").Replace(commands)
	cmd := exec.Command("sh", "-e", "-c", commands)
	cmd.Env = append(os.Environ(), append(env, "PATH="+m.root+"/usr/local/bin:"+os.Getenv("PATH"))...)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.Fatalf("%s\n%v: %s", commands, err, out)
	}
}

func (m machine) write(name, text string, mode os.FileMode) {
	m.Helper()
	name = filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		m.Fatal(err)
	}
}

func (m machine) read(name string) string {
	m.Helper()
	b, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		m.Fatal(err)
	}
	return string(b)
}

// TestThePageOnCertdeployLeadsThereAndBack runs the page's commands where pip has put
// the original's programs, and calls the hook in between.
func TestThePageOnCertdeployLeadsThereAndBack(t *testing.T) {
	page, err := os.ReadFile("../../docs/migrating/certdeploy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^ *```\n(.*?)^ *```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 3 {
		t.Fatalf("the page has %d blocks of commands, want: aside, links, and back", len(blocks))
	}
	program, err := exec.LookPath("certfleet")
	if err != nil {
		t.Fatal(err)
	}
	m := machine{t, t.TempDir()}
	for _, name := range []string{"certdeploy-server", "certdeploy-client"} {
		m.write("usr/local/bin/"+name, "#!/bin/sh\necho "+name+" \"$@\" > "+m.root+"/original\n", 0o700)
	}
	m.write("etc/letsencrypt/renewal-hooks/deploy/README", "", 0o600)
	m.write("queue/x", "", 0o600)
	m.write("usr/bin/x", "", 0o600)
	if err := os.Symlink(program, m.root+"/usr/bin/certfleet"); err != nil {
		t.Fatal(err)
	}
	key, _ := sshtest.KeyFile(t, "ed25519")
	_, public := sshtest.KeyFile(t, "ed25519")
	m.write("server.yml", "privkey_filename: "+key+"\nqueue_dir: "+m.root+"/queue\nclient_configs:\n  - {address: 127.0.0.1, pubkey: "+public+", domains: [shop.example]}\n", 0o600)

	m.sh(blocks[0][1] + blocks[1][1])
	m.sh("/etc/letsencrypt/renewal-hooks/deploy/certdeploy-hook", "CERTDEPLOY_SERVER_CONFIG="+m.root+"/server.yml", "RENEWED_LINEAGE=/live/shop.example", "RENEWED_DOMAINS=shop.example")
	if !strings.Contains(m.read("queue/certfleet-queue.sqlite"), "/live/shop.example") && !strings.Contains(m.read("queue/certfleet-queue.sqlite-wal"), "/live/shop.example") {
		t.Error("the hook has queued nothing")
	}
	m.sh(blocks[2][1])
	if got, want := m.read("original"), "certdeploy-server --push --lineage "+m.root+"/etc/letsencrypt/live/shop.example --domains shop.example www.shop.example\n"; got != want {
		t.Errorf("back, the original was asked for %q, want %q", got, want)
	}
}
