package agent

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// joinEnv may hold the join token, so that it stands on no command line.
const joinEnv = "CERTFLEET_JOIN_TOKEN"

// How often a join is tried while the manager cannot be reached, and how long
// between two tries.
const (
	joinTries = 3
	joinPause = time.Second
)

// Join takes an invitation up: a key is made here, and the manager signs for it.
// Nothing is sent before the manager has shown that it is the one that invited.
// When the answer is lost, joining again with the same token goes on with the same
// key, which alone the manager still takes.
func Join(ctx context.Context, c Config, token string) (agent string, err error) {
	t, err := api.ParseJoinToken(token)
	if err != nil {
		return "", err
	}
	key, err := joiningKey(c.Identity+".joining", t)
	if err != nil {
		return "", &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("the key for identity %q cannot be written: %v", c.Identity, err), Advice: "run it as the agent's user; the token is still good", Err: err}
	}
	id := &identity{Manager: t.Manager, Agent: t.Agent, CA: t.CA}
	got, err := askToJoin(ctx, id, key, t.Secret)
	if err != nil {
		return "", err
	}
	if id, err = id.with(key, got); err != nil {
		return "", err
	}
	if err := id.save(c.Identity); err != nil {
		return "", &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("identity %q cannot be written: %v", c.Identity, err), Advice: "make room for it, and join again with the same token", Err: err}
	}
	return t.Agent, os.Remove(c.Identity + ".joining")
}

// askToJoin asks for the identity, again while the manager cannot be reached.
func askToJoin(ctx context.Context, id *identity, key crypto.Signer, secret string) (got api.Identity, err error) {
	request, err := pki.ClientRequest(key, id.Agent)
	if err != nil {
		return got, err
	}
	m := newManager(id)
	for try := 1; ; try++ {
		err = m.call(ctx, "/v1/agent/join", api.Join{Secret: secret, Request: string(request)}, &got)
		if certfleet.KindOf(err) != certfleet.Unreachable || try == joinTries || !pause(ctx, joinPause) {
			return got, err
		}
	}
}

// joining is the key with which a token is being taken up.
type joining struct {
	Token string `json:"token"` // SHA-256 of its secret
	Key   string `json:"key"`
}

// joiningKey is the key that was made for the token before, or a new one that is
// on disk before it is used.
func joiningKey(file string, t api.JoinToken) (crypto.Signer, error) {
	hash := lineage.Sum([]byte(t.Secret))
	var was joining
	if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &was) == nil && was.Token == hash {
		if key, err := pki.ParseKey([]byte(was.Key)); err == nil {
			return key, nil
		}
	}
	key, err := pki.GenerateKey(certfleet.P256)
	if err != nil {
		return nil, err
	}
	text, err := pki.MarshalKey(key)
	if err != nil {
		return nil, err
	}
	return key, keep(file, joining{Token: hash, Key: string(text)})
}

// joinToken is the token that the word stands for: itself, what is on the
// standard input for -, or what the environment holds for nothing.
func joinToken(word string, in io.Reader) (string, error) {
	switch word {
	case "":
		return os.Getenv(joinEnv), nil
	case "-":
		b, err := io.ReadAll(io.LimitReader(in, 8<<10))
		return strings.TrimSpace(string(b)), err
	}
	return word, nil
}
