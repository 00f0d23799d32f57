package bench

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/sftp"
	"github.com/certfleet/certfleet/internal/target/targettest"
)

// sshKey writes a private key and answers its file and its public line.
func sshKey(b *testing.B, file string) (public ssh.PublicKey) {
	b.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "bench")
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		b.Fatal(err)
	}
	if public, err = ssh.NewPublicKey(pub); err != nil {
		b.Fatal(err)
	}
	return public
}

// edge is an agent in this process, and a target that leads to it.
func edge(b *testing.B, dir, login string, public ssh.PublicKey) (*sftp.Target, agent.Config) {
	b.Helper()
	host := sshKey(b, filepath.Join(dir, "host"))
	c := agent.Config{Staging: filepath.Join(dir, "staging"), Dir: filepath.Join(dir, "certs"),
		SFTP: agent.SFTP{HostKeys: []string{filepath.Join(dir, "host")}, AuthorizedKeys: []string{string(ssh.MarshalAuthorizedKey(public))}}}
	a, err := agent.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, l) }()
	b.Cleanup(func() { stop(); <-done; a.Close() })
	return target(b, l.Addr().(*net.TCPAddr).Port, c.Staging, login, host), c
}

func target(b *testing.B, port int, path, login string, host ssh.PublicKey) *sftp.Target {
	b.Helper()
	t, err := sftp.New(sftp.Config{Host: "127.0.0.1", Port: port, Key: "file:" + login, HostKeys: []string{ssh.FingerprintSHA256(host)}, Path: path}, dial.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	return t
}

func bundles(b *testing.B, n int) (all []certfleet.Bundle) {
	b.Helper()
	for i := range n {
		label := fmt.Sprintf("site%d.example", i)
		all = append(all, targettest.Bundle(b, label, 1, label))
	}
	return all
}

func push(b *testing.B, t *sftp.Target, all []certfleet.Bundle) {
	b.Helper()
	receipts, err := t.Deliver(b.Context(), all, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range receipts {
		if r.Err != nil || !r.Applied {
			b.Fatalf("%s: applied %v, %v", r.Certificate, r.Applied, r.Err)
		}
	}
}

// BenchmarkDeliver brings b.N pairs to one empty edge, 500 at a time as the
// manager does: checked, live and durable when it ends. Beside it sftp's batch
// mode and rsync copy the same bytes, which makes nothing of them and nothing last.
func BenchmarkDeliver(b *testing.B) {
	login := filepath.Join(b.TempDir(), "login")
	public := sshKey(b, login)
	// Nothing is removed before all is measured: for minutes ext4 passes inodes of
	// removed files by, one after the other, which made later files ten times as dear.
	place := b.TempDir
	pairs := func(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s") }
	b.Run("agent", func(b *testing.B) {
		t, _ := edge(b, place(), login, public)
		all := bundles(b, b.N)
		began := cpu()
		b.ResetTimer()
		for from := 0; from < len(all); from += 500 {
			push(b, t, all[from:min(len(all), from+500)])
		}
		pairs(b)
		cpuEach(b, began, b.N)
	})
	b.Run("sftp-b", func(b *testing.B) {
		from, batch := laidOut(b, place())
		port, to := sshd(b, place(), public)
		cmd := exec.Command("sftp", "-q", "-b", batch(to), "-P", strconv.Itoa(port), "-i", login, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "127.0.0.1")
		cmd.Dir = from
		run(b, cmd)
		pairs(b)
	})
	b.Run("rsync", func(b *testing.B) {
		if _, err := exec.LookPath("rsync"); err != nil {
			b.Skip("rsync is not installed")
		}
		from, _ := laidOut(b, place())
		port, to := sshd(b, place(), public)
		run(b, exec.Command("rsync", "-a", "-e", fmt.Sprintf("ssh -q -p %d -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null", port, login), from+"/", "127.0.0.1:"+to+"/"))
		pairs(b)
	})
}

// cpuEach reports the CPU of this process since began for each of n things, which
// is less of a guess than the time on a machine that others use too.
func cpuEach(b *testing.B, began time.Duration, n int) {
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(n), "cpu-µs")
}

func run(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	b.ResetTimer()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out[max(0, len(out)-500):])
	}
}

// laidOut writes b.N pairs as folders, and answers a maker of sftp's batch file.
func laidOut(b *testing.B, from string) (_ string, batch func(to string) string) {
	b.Helper()
	all := bundles(b, b.N)
	for _, x := range all {
		dir := filepath.Join(from, x.Certificate)
		os.Mkdir(dir, 0o700)
		os.WriteFile(filepath.Join(dir, "fullchain.pem"), x.ChainPEM, 0o644)
		if err := os.WriteFile(filepath.Join(dir, "privkey.pem"), x.KeyPEM, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return from, func(to string) string {
		f, err := os.Create(filepath.Join(b.TempDir(), "batch"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		w := bufio.NewWriter(f)
		defer w.Flush()
		for _, x := range all {
			fmt.Fprintf(w, "-mkdir %s/%s\nput %s/fullchain.pem %s/%s/\nput %s/privkey.pem %s/%s/\n", to, x.Certificate, x.Certificate, to, x.Certificate, x.Certificate, to, x.Certificate)
		}
		return f.Name()
	}
}

// sshd starts OpenSSH's server on loopback for the user who runs this.
func sshd(b *testing.B, dir string, public ssh.PublicKey) (port int, to string) {
	b.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd"
	}
	if _, err := os.Stat(program); err != nil {
		b.Skip("sshd is not installed")
	}
	sshKey(b, filepath.Join(dir, "host"))
	os.WriteFile(filepath.Join(dir, "authorized"), ssh.MarshalAuthorizedKey(public), 0o600)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	text := fmt.Sprintf("ListenAddress 127.0.0.1\nPort %d\nHostKey %s/host\nAuthorizedKeysFile %s/authorized\nPidFile none\nStrictModes no\nUsePAM no\nMaxStartups 200\nSubsystem sftp internal-sftp\n", port, dir, dir)
	conf := filepath.Join(dir, "conf")
	os.WriteFile(conf, []byte(text), 0o600)
	os.MkdirAll("/run/sshd", 0o755)
	cmd := exec.Command(program, "-D", "-e", "-f", conf)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			break
		}
	}
	to = filepath.Join(dir, "to")
	os.Mkdir(to, 0o700)
	return port, to
}

// BenchmarkAgentMemory says how much memory the agent's program has idle, and with
// b.N lineages live that came in pushes of 500: VmRSS, in MB.
func BenchmarkAgentMemory(b *testing.B) {
	login := filepath.Join(b.TempDir(), "login")
	public := sshKey(b, login)
	t, pid := startAgent(b, agentProgram(b), login, public)
	time.Sleep(500 * time.Millisecond)
	b.ReportMetric(resident(b, pid), "idle-MB")
	for from := 0; from < b.N; from += 500 {
		var part []certfleet.Bundle
		for i := from; i < min(b.N, from+500); i++ {
			label := fmt.Sprintf("site%d.example", i)
			part = append(part, targettest.Bundle(b, label, 1, label))
		}
		push(b, t, part)
	}
	b.ReportMetric(resident(b, pid), "full-MB")
}

// resident is a process's memory in MB.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(kb)[0])
			return float64(n) / 1024
		}
	}
	b.Fatal("the process has no VmRSS")
	return 0
}
