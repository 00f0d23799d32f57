package bench

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/target/sftp"
	"github.com/certfleet/certfleet/internal/target/targettest"
	"github.com/certfleet/certfleet/internal/trial"
)

// atATime is how many agents are talked to at a time, as the manager's workers do.
const atATime = 32

// BenchmarkOneChange brings one changed pair to 1,000 agents: all of them in this
// process, and each a process of its own. Beside them sftp's batch mode and rsync
// copy the same two files to as many folders, a program each. With -short there are
// 400, for systems that allow fewer tasks than 1,000 programs of seven threads.
func BenchmarkOneChange(b *testing.B) {
	n := 1000
	if testing.Short() {
		n = 400
	}
	login := filepath.Join(b.TempDir(), "login")
	public := sshKey(b, login)
	b.Run("one process", func(b *testing.B) {
		targets := make([]*sftp.Target, n)
		for i := range targets {
			targets[i], _ = edge(b, b.TempDir(), login, public)
		}
		changeAll(b, targets, cpu)
	})
	b.Run("processes", func(b *testing.B) {
		targets, pids := startAgents(b, n, login, public)
		changeAll(b, targets, func() time.Duration { return cpu() + cpuOf(b, pids) })
		rss, threads := 0.0, 0
		for _, pid := range pids {
			tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
			rss, threads = rss+resident(b, pid), threads+len(tasks)
		}
		b.ReportMetric(rss/float64(n), "RSS-MB")
		b.ReportMetric(float64(threads)/float64(n), "threads")
	})
	b.Run("sftp-b", func(b *testing.B) {
		copyAll(b, n, login, public, func(port int, from, to string) *exec.Cmd {
			batch := fmt.Sprintf("-mkdir %[1]s\nput %[2]s/fullchain.pem %[1]s/\nput %[2]s/privkey.pem %[1]s/\n", to, from)
			cmd := exec.Command("sftp", "-q", "-b", "-", "-P", fmt.Sprint(port), "-i", login, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "127.0.0.1")
			cmd.Stdin = strings.NewReader(batch)
			return cmd
		})
	})
	b.Run("rsync", func(b *testing.B) {
		if _, err := exec.LookPath("rsync"); err != nil {
			b.Skip("rsync is not installed")
		}
		copyAll(b, n, login, public, func(port int, from, to string) *exec.Cmd {
			return exec.Command("rsync", "-a", "-e", fmt.Sprintf("ssh -q -p %d -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null", port, login), from+"/", "127.0.0.1:"+to+"/")
		})
	})
}

// changeAll brings b.N changes of one pair to all targets; used is the CPU so far.
func changeAll(b *testing.B, targets []*sftp.Target, used func() time.Duration) {
	version, spent := int64(0), time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		version++
		change := []certfleet.Bundle{targettest.Bundle(b, "shop.example", version, "shop.example")}
		began := used()
		b.StartTimer()
		each(len(targets), func(i int) { push(b, targets[i], change) })
		b.StopTimer()
		spent += used() - began
		b.StartTimer()
	}
	reached(b, len(targets), spent)
}

// copyAll has a program copy b.N changes of one pair to n folders.
func copyAll(b *testing.B, n int, login string, public ssh.PublicKey, program func(port int, from, to string) *exec.Cmd) {
	port, to := sshd(b, b.TempDir(), public)
	version, spent := int64(0), time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		version++
		x, from := targettest.Bundle(b, "shop.example", version, "shop.example"), b.TempDir()
		err := errors.Join(os.WriteFile(filepath.Join(from, "fullchain.pem"), x.ChainPEM, 0o644), os.WriteFile(filepath.Join(from, "privkey.pem"), x.KeyPEM, 0o600))
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		each(n, func(i int) {
			if out, err := program(port, from, filepath.Join(to, fmt.Sprint(i))).CombinedOutput(); err != nil {
				b.Errorf("%v: %s", err, out)
			}
		})
	}
	for i := range n {
		if _, err := os.Stat(filepath.Join(to, fmt.Sprint(i), "privkey.pem")); err != nil {
			b.Fatal(err)
		}
	}
	reached(b, n, spent)
}

func reached(b *testing.B, n int, spent time.Duration) {
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "agents/s")
	if spent > 0 {
		b.ReportMetric(float64(spent.Microseconds())/float64(n*b.N), "cpu-µs")
	}
}

func each(n int, do func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, atATime)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() { do(i); <-slots })
	}
	all.Wait()
}

// agentProgram builds the agent's program.
func agentProgram(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "certfleet-agent")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "../cmd/certfleet-agent").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return program
}

// startAgents starts n agents, one after the other so that their first moments do
// not crowd, and waits for each.
func startAgents(b *testing.B, n int, login string, public ssh.PublicKey) ([]*sftp.Target, []int) {
	b.Helper()
	program, targets, pids := agentProgram(b), make([]*sftp.Target, n), make([]int, n)
	for i := range targets {
		targets[i], pids[i] = startAgent(b, program, login, public)
	}
	return targets, pids
}

// startAgent starts an agent in a folder of its own, and a target that leads to it.
func startAgent(b *testing.B, program, login string, public ssh.PublicKey) (*sftp.Target, int) {
	b.Helper()
	dir, port := b.TempDir(), porttest.Port(b)
	host := sshKey(b, filepath.Join(dir, "host"))
	conf := filepath.Join(dir, "agent.yaml")
	text := fmt.Appendf(nil, "staging: %[1]s/staging\ndir: %[1]s/certs\nsftp:\n  listen: 127.0.0.1:%[2]d\n  host_keys: [%[1]s/host]\n  authorized_keys: [%[3]q]\n", dir, port, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))))
	if err := os.WriteFile(conf, text, 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program, "--config", conf, "run")
	ended, err := trial.Daemon(b, cmd, 10*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	for {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			return target(b, port, filepath.Join(dir, "staging"), login, host), cmd.Process.Pid
		}
		select {
		case <-ended:
			b.Fatal("the agent ended at its start")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// cpuOf is the CPU that processes have used, in the kernel's ticks of 10 ms; only
// the sum over many says something.
func cpuOf(b *testing.B, pids []int) (used time.Duration) {
	b.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), ") ") // behind the program's name
		fields := strings.Fields(rest)
		for _, ticks := range fields[11:13] { // utime and stime, proc_pid_stat(5)
			n, err := strconv.Atoi(ticks)
			if err != nil {
				b.Fatal(err)
			}
			used += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return used
}
