package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/updater"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// ask sends one command and reads to the end: HAProxy closes after the answer.
func (u *Updater) ask(ctx context.Context, command []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(u.c.Timeout))
	defer cancel()
	network := "tcp"
	if u.unix() {
		network = "unix"
	}
	conn, err := u.dial(ctx, network, u.c.Socket)
	if err != nil {
		return "", u.unreachable(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(command); err != nil {
		return "", u.unreachable(err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	if err != nil {
		return "", u.unreachable(err)
	}
	if s := string(answer); strings.Contains(s, "Permission denied") {
		return "", notAllowed()
	}
	return string(answer), nil
}

func notAllowed() error {
	return &certfleet.Error{Kind: certfleet.Denied, Msg: "HAProxy's socket does not allow the command", Advice: `write "level admin" on the stats socket line of HAProxy's configuration`}
}

func (u *Updater) unreachable(err error) error {
	if e, ok := errors.AsType[*certfleet.Error](err); ok {
		return e
	}
	e := &certfleet.Error{Kind: certfleet.Unreachable, Msg: fmt.Sprintf("HAProxy does not answer at %s", u.c.Socket), Advice: "check that HAProxy runs and has a stats socket there", Err: err}
	if errors.Is(err, fs.ErrPermission) {
		e.Kind, e.Advice = certfleet.Denied, "let the user that certfleet runs as use the socket (its user, group and mode on the stats socket line)"
	}
	return e
}

// refused repeats what HAProxy said, which never holds the payload.
func refused(command, answer string) error {
	return &certfleet.Error{Kind: certfleet.Internal, Msg: fmt.Sprintf("HAProxy refused %q: %s", command, updater.Tail([]byte(answer))), Advice: "correct what HAProxy complains of; it keeps the certificate that it has"}
}
