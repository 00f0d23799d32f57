package agent

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

// joinEnv may hold the join token, so that it stands on no command line.
const joinEnv = "CERTFLEET_JOIN_TOKEN"

// Join takes an invitation up: a key is made here, and the manager signs for it.
// Nothing is sent before the manager has shown that it is the one that invited.
func Join(ctx context.Context, c Config, token string) (agent string, err error) {
	t, err := api.ParseJoinToken(token)
	if err != nil {
		return "", err
	}
	id := &identity{Manager: t.Manager, Agent: t.Agent, CA: t.CA}
	key, request, err := dress(t.Agent)
	if err != nil {
		return "", err
	}
	var got api.Identity
	if err := newManager(id).call(ctx, "/v1/agent/join", api.Join{Secret: t.Secret, Request: string(request)}, &got); err != nil {
		return "", err
	}
	if id, err = id.with(key, got); err != nil {
		return "", err
	}
	if err := id.save(c.Identity); err != nil {
		return "", &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("identity %q cannot be written: %v", c.Identity, err), Advice: "run it as the agent's user, and invite it again: the token is used up", Err: err}
	}
	return t.Agent, nil
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
