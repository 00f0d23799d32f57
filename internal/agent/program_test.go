package agent

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/porttest"
	"github.com/certfleet/certfleet/internal/trial"
)

// TestMain lets the test binary be the agent, so that it can be killed.
func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv("CERTFLEET_TEST_AGENT"); ok {
		os.Exit(Main(strings.Fields(args), os.Stdout, os.Stderr))
	}
	os.Exit(trial.Run(m))
}

func agentProgram(t testing.TB, args string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CERTFLEET_TEST_AGENT="+args)
	return cmd
}

func (k *kit) write(listen string, more string) (file string) {
	k.Helper()
	file = filepath.Join(k.TempDir(), "agent.yaml")
	text := "staging: " + k.c.Staging + "\ndir: " + k.c.Dir + "\nsftp:\n  listen: " + listen + "\n  host_keys: " + k.c.SFTP.HostKeys[0] +
		"\n  authorized_keys: [" + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.login.PublicKey()))) + "]\n" + more
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		k.Fatal(err)
	}
	return file
}

// start runs the agent as a process of its own and answers it once it listens.
func (k *kit) start(more string) *exec.Cmd {
	k.Helper()
	k.addr = fmt.Sprintf("127.0.0.1:%d", porttest.Port(k))
	cmd := agentProgram(k, "--config "+k.write(k.addr, more)+" run")
	out := &logBuffer{}
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	k.eventually("the agent listens", func() bool { return strings.Contains(out.String(), "listening") })
	return cmd
}

func TestKilledAgentKeepsTheLastGoodPairAndConverges(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.SFTP.Listen = "127.0.0.1:0" })
	k.Close() // the program has the folder
	calls := filepath.Join(t.TempDir(), "calls")
	more := "updaters:\n" + noting("web", calls, "")
	good, next := pair(t, time.Hour, "shop.example"), pair(t, 2*time.Hour, "shop.example")
	for i, half := range []func(cmd *exec.Cmd){
		func(cmd *exec.Cmd) {}, // nothing goes wrong
		func(cmd *exec.Cmd) { // in the middle of the first file
			_, c := k.client()
			c.Mkdir("shop")
			f, _ := c.OpenFile("shop/fullchain.pem", os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
			f.Write(next[lineage.FullChain][:100])
			cmd.Process.Kill()
		},
		func(cmd *exec.Cmd) { // between the two
			_, c := k.client()
			c.Mkdir("shop")
			put(c, "shop/fullchain.pem", next[lineage.FullChain])
			cmd.Process.Kill()
		},
		func(cmd *exec.Cmd) { // both are there, and the session is open
			_, c := k.client()
			c.Mkdir("shop")
			put(c, "shop/fullchain.pem", next[lineage.FullChain])
			put(c, "shop/privkey.pem", next[lineage.PrivKey])
			cmd.Process.Kill()
		},
	} {
		cmd := k.start(more)
		if i == 0 {
			_, c := k.client()
			pushPair(t, c, "shop", good)
			c.Close()
		}
		half(cmd)
		if i > 0 {
			cmd.Wait()
		} else {
			k.eventually("the service is told", func() bool { return len(lines(t, calls)) > 0 })
			cmd.Process.Kill()
			cmd.Wait()
		}
		k.serves("shop", good)
	}
	k.start(more) // what was whole goes live now
	k.eventually("the new pair is live", func() bool {
		chain, key := k.Agent.read("shop")
		return bytes.Equal(chain, next[lineage.FullChain]) && bytes.Equal(key, next[lineage.PrivKey])
	})
	k.eventually("the service is told again", func() bool { return len(lines(t, calls)) > 1 })
}

func TestProgramTellsWhatItDid(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *Config) { c.SFTP.Listen = "127.0.0.1:0" })
	k.Close() // the program has the folder
	k.stage("shop", pair(t, time.Hour, "shop.example"))
	file := k.write("127.0.0.1:0", "")
	for _, row := range []struct {
		args, want string
		status     int
	}{
		{"--config " + file + " check", "is good", 0},
		{"--config " + file + " sync", "live: shop\n", 0},
		{"version", "certfleet-agent ", 0},
		{"", "usage:", 2},
		{"nonsense", "usage:", 2},
		{"--config /nowhere/agent.yaml sync", "advice: create it", 1},
	} {
		out, _ := agentProgram(t, row.args).CombinedOutput()
		cmd := agentProgram(t, row.args)
		cmd.Run()
		if !strings.Contains(string(out), row.want) || cmd.ProcessState.ExitCode() != row.status {
			t.Errorf("%q: status %d, said %q; want %d and %q", row.args, cmd.ProcessState.ExitCode(), out, row.status, row.want)
		}
	}
	k.stage("shop", changed(pair(t, time.Hour, "shop.example"), lineage.PrivKey, []byte("x")))
	out, err := agentProgram(t, "--config "+file+" sync").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "error: lineage shop") || !strings.Contains(string(out), "advice: ") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestConfigSaysWhereItIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"stagin: /x":             `agent.yaml:1:1: there is no setting "stagin"`,
		"staging: relative":      "staging:",
		"staging: /a\ndir: /a/b": "overlap",
		"update_delay: soon":     "not a duration",
		"sftp:\n  max_file: -1":  "max_file",
		"updaters:\n  web:\n    type: nginx\n    confg: /x": `did you mean "conf"`,
		"updaters:\n  web:\n    type: apache":               "use one of docker_container",
		"updaters:\n  web:\n    type: systemd\n    unit: x": "updater web",
	} {
		file := filepath.Join(t.TempDir(), "agent.yaml")
		os.WriteFile(file, []byte(text), 0o600)
		var out bytes.Buffer
		if status := Main([]string{"--config", file, "check"}, &out, &out); status != 1 || !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "advice: ") {
			t.Errorf("%q: status %d, said %s", text, status, out.String())
		}
	}
}

// maxSize is what fits beside any service, in bytes.
const maxSize = 16 << 20

func TestProgramIsSmallAndKnowsNoStore(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("building takes a while")
	}
	file := filepath.Join(t.TempDir(), "certfleet-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "github.com/certfleet/certfleet/cmd/certfleet-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	info, err := os.Stat(file)
	if err != nil || info.Size() >= maxSize {
		t.Errorf("the program has %d bytes, %v", info.Size(), err)
	}
	out, err := exec.Command("go", "list", "-deps", "github.com/certfleet/certfleet/cmd/certfleet-agent").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []string{"/internal/store", "/internal/web", "/internal/app", "/internal/acme", "/internal/work", "modernc.org/sqlite", "jackc/pgx"} {
		if strings.Contains(string(out), room) {
			t.Errorf("the agent links %s", room)
		}
	}
}
