package sftp

import (
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet"
)

// pins are the host keys that are welcome, by fingerprint, and their types where
// these are known.
type pins struct {
	fingerprints []string
	types        []string
}

func parsePins(lines []string) (pins, error) {
	var p pins
	for _, line := range lines {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "SHA256:") {
			p.fingerprints = append(p.fingerprints, strings.TrimRight(line, "="))
			continue
		}
		k, err := parseHostKey(line)
		if err != nil {
			return p, invalid("write a line of ssh-keyscan HOST, after comparing it, or SHA256:... as ssh-keygen -lf shows", err, "host key %.40q is not understood", line)
		}
		p.fingerprints, p.types = append(p.fingerprints, ssh.FingerprintSHA256(k)), append(p.types, k.Type())
	}
	if len(p.fingerprints) == 0 {
		return p, invalid("run ssh-keyscan HOST, compare with the host's own ssh-keygen -lf, and put the line into host_keys", nil, "target sftp has no host key, and an unknown host gets nothing")
	}
	return p, nil
}

// parseHostKey reads "HOST TYPE BASE64 ...", "TYPE BASE64 ..." or BASE64 alone.
func parseHostKey(line string) (ssh.PublicKey, error) {
	words := strings.Fields(line)
	if len(words) == 0 || strings.HasPrefix(words[0], "@") {
		return nil, fmt.Errorf("no plain key")
	}
	for i, w := range words[:min(len(words), 3)] {
		raw, err := base64.StdEncoding.DecodeString(w)
		if err != nil || len(raw) < 32 {
			continue
		}
		k, err := ssh.ParsePublicKey(raw)
		if err == nil && i > 0 && words[i-1] != k.Type() {
			return nil, fmt.Errorf("the key is of type %s", k.Type())
		}
		if _, cert := k.(*ssh.Certificate); cert {
			return nil, fmt.Errorf("host certificates are not read here")
		}
		return k, err
	}
	return nil, fmt.Errorf("no key in it")
}

// algorithms asks for the pinned types first, so that a host with several keys
// shows one that is known.
func (p pins) algorithms() []string {
	var first, rest []string
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if slices.Contains(p.types, a) || strings.HasPrefix(a, "rsa-sha2-") && slices.Contains(p.types, ssh.KeyAlgoRSA) {
			first = append(first, a)
		} else {
			rest = append(rest, a)
		}
	}
	return append(first, rest...)
}

func (p pins) check(host string) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, k ssh.PublicKey) error {
		got := ssh.FingerprintSHA256(k)
		if slices.Contains(p.fingerprints, got) {
			return nil
		}
		return &certfleet.Error{Kind: certfleet.Denied,
			Msg:    fmt.Sprintf("%s shows host key %s (%s), known is %s; nothing was sent", host, got, k.Type(), strings.Join(p.fingerprints, " or ")),
			Advice: "compare with ssh-keygen -lf on the host itself; if its key was changed on purpose, put the new one into host_keys, else look for who answers there"}
	}
}
