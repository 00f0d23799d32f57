package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
)

// hostKeys reads the host keys; the first is made if it is not there.
func hostKeys(files []string) ([]ssh.Signer, error) {
	var signers []ssh.Signer
	for i, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) && i == 0 {
			text, err = makeHostKey(f)
		}
		if err != nil {
			return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("host key %q cannot be read", f), Advice: "correct sftp.host_keys, or let the agent's user read the file", Err: err}
		}
		k, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("host key %q is not a private key without passphrase", f), Advice: "make one with ssh-keygen -t ed25519 -N '' -f " + f}
		}
		signers = append(signers, k)
	}
	return signers, nil
}

// makeHostKey writes a new Ed25519 key whole or not at all.
func makeHostKey(file string) ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "certfleet-agent")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(block)
	temp := file + "." + rand.Text()
	defer os.Remove(temp)
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return nil, err
	}
	return text, os.Link(temp, file)
}

// authorized reads public keys, one a line. Options are not honoured, so a line
// that has some is refused.
func authorized(text []byte, where string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		k, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 {
			return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%s: line %d is not a public key", where, i+1), Advice: "write lines such as ssh-ed25519 AAAA..., without options", Err: err}
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func join(lines []string) string { return strings.Join(lines, "\n") }
