package demo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet/internal/agent"
	"github.com/certfleet/certfleet/internal/config"
)

// machine is an agent as it runs beside a service on another machine: its own
// SFTP server, its own folders, and a service that serves what it read when it
// was last told to reload.
type machine struct {
	service *edge
	agent   *agent.Agent
	port    int    // of its SFTP server
	spec    []byte // of the target that leads to it, JSON
	end     context.CancelFunc
	ended   chan error
}

// startMachine starts the service and the agent, which lets only the manager's key in.
func startMachine(h *home) (*machine, error) {
	m := &machine{}
	reload := h.path("machine", "reload")
	if err := os.MkdirAll(h.path("machine"), 0o700); err != nil {
		return nil, fmt.Errorf("make the agent's folder: %w", err)
	}
	host, err := keyPair(h.path("machine", "host_ed25519"))
	if err != nil {
		return nil, err
	}
	login, err := keyPair(h.path("sftp_ed25519"))
	if err != nil {
		return nil, err
	}
	live := h.path("machine", "certificates")
	if m.service, err = startService(h.path("machine", "certificates", "live"), reload); err != nil {
		return nil, err
	}
	c := agent.Config{Staging: h.path("machine", "staging"), Dir: live, SFTP: agent.SFTP{Listen: "127.0.0.1:0", HostKeys: []string{h.path("machine", "host_ed25519")}, AuthorizedKeys: []string{authorized(login)}}}
	if err = updaters(&c, reload); err == nil {
		err = m.run(c)
	}
	if err != nil {
		return nil, errors.Join(err, m.service.close())
	}
	return m, m.describe(h, c, host)
}

// updaters says how the service is told: touching a file is its reload.
func updaters(c *agent.Config, reload string) error {
	text, err := json.Marshal(map[string]any{"updaters": map[string]any{"service": map[string]any{"type": "script", "command": []string{"touch", reload}}}})
	if err != nil {
		return err
	}
	s, err := config.NewSection("agent", "", text)
	if err != nil {
		return err
	}
	return s.Decode(c)
}

func (m *machine) run(c agent.Config) (err error) {
	if m.agent, err = agent.New(c, slog.New(slog.DiscardHandler)); err != nil {
		return fmt.Errorf("start the demo's agent: %w", err)
	}
	ctx, end := context.WithCancel(context.Background())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		end()
		return errors.Join(fmt.Errorf("listen for the demo's agent: %w", err), m.agent.Close())
	}
	m.end, m.ended = end, make(chan error, 1)
	m.port = l.Addr().(*net.TCPAddr).Port
	go func() { m.ended <- m.agent.Run(ctx, l) }()
	return nil
}

// describe writes the settings of the target.
func (m *machine) describe(h *home, c agent.Config, host ssh.PublicKey) (err error) {
	m.spec, err = json.Marshal(map[string]any{"host": "127.0.0.1", "port": m.port, "path": c.Staging, "key": "file:" + h.path("sftp_ed25519"), "host_keys": []string{ssh.FingerprintSHA256(host)}})
	return err
}

// close ends the agent, and then the service.
func (m *machine) close() error {
	m.end()
	return errors.Join(<-m.ended, m.agent.Close(), m.service.close())
}

// keyPair makes a key to log in with, or reads the one of an earlier demo.
func keyPair(file string) (ssh.PublicKey, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		_, key, made := ed25519.GenerateKey(rand.Reader)
		if made != nil {
			return nil, made
		}
		block, made := ssh.MarshalPrivateKey(key, "certfleet demo")
		if made != nil {
			return nil, made
		}
		text = pem.EncodeToMemory(block)
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("make a key for SFTP: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", file, err)
	}
	return signer.PublicKey(), nil
}

func authorized(k ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(k)) }
