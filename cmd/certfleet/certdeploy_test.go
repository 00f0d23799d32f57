package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// sshKey writes a private key, and sets a variable to its public line: sshkey
// NAME FILE.
func sshKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sshkey NAME FILE")
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	block, err := ssh.MarshalPrivateKey(key, "")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(block), 0o600))
	k, err := ssh.NewPublicKey(public)
	ts.Check(err)
	ts.Setenv(args[0], strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))))
}

// writeLineage writes a certificate as certbot has it: lineage DIR NAME...
func writeLineage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: lineage DIR NAME...")
	}
	ca, err := pki.NewCA("certbot", time.Now())
	ts.Check(err)
	issued, err := ca.IssueServer(args[1:], time.Hour, time.Now())
	ts.Check(err)
	files, err := lineage.Split(certfleet.Bundle{ChainPEM: issued.ChainPEM, KeyPEM: issued.KeyPEM})
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	for name, text := range files {
		ts.Check(os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
}

// fill puts the variables' values into a file; $PORT is the port of $API.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fill FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), func(name string) string {
		if name == "PORT" {
			_, p, _ := strings.Cut(ts.Getenv("API"), ":")
			return p
		}
		return ts.Getenv(name)
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func TestProgramIsFoundThroughLinks(t *testing.T) {
	dir := t.TempDir()
	for link, to := range map[string]string{
		"certdeploy-server": filepath.Join(dir, "certfleet"), "50-deploy": "certdeploy-server", "60-again": filepath.Join(dir, "50-deploy"), "other": "certfleet", "round": "round",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"certdeploy-server": true, "certdeploy-client": true, "certdeploy-hook": true, "50-deploy": true, "60-again": true, "other": false, "certfleet": false, "round": false, "nowhere": false} {
		if got := calledAs(filepath.Join(dir, name)); (got != nil) != want {
			t.Errorf("%s is a program of certdeploy's: %v, want %v", name, got != nil, want)
		}
	}
}
