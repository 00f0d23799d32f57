package agent

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os/user"
	"strconv"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/target/files"
)

// liveFolder is where services read.
type liveFolder interface {
	certfleet.Verifier
	certfleet.Remover
	put(ctx context.Context, going []proposal) ([]certfleet.Receipt, error)
}

// whole is a live folder that takes whole pairs alone, which a proposal has been
// found to be.
type whole struct{ *files.Target }

func (w whole) put(ctx context.Context, going []proposal) ([]certfleet.Receipt, error) {
	bundles := make([]certfleet.Bundle, len(going))
	for i, p := range going {
		bundles[i] = p.bundle
	}
	return w.DeliverChecked(ctx, bundles)
}

func newLive(c Config, log *slog.Logger) (liveFolder, error) {
	if c.Layout == Verbatim {
		return newVerbatim(c)
	}
	t, err := files.New(c.live(), dial.Deps{Log: log})
	return whole{t}, err
}

func newVerbatim(c Config) (v *verbatim, err error) {
	v = &verbatim{dir: c.Dir, uid: -1, gid: -1}
	if v.mode, err = octal("mode", c.Mode, 0); err != nil {
		return nil, err
	}
	if v.dirMode, err = octal("dir_mode", c.DirMode, 0o755); err != nil {
		return nil, err
	}
	if v.uid, err = id(c.Owner, func(n string) (string, error) {
		u, err := user.Lookup(n)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	}); err != nil {
		return nil, invalid("create the user, or correct its name", "owner %q is not known on this machine", c.Owner)
	}
	if v.gid, err = id(c.Group, func(n string) (string, error) {
		g, err := user.LookupGroup(n)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	}); err != nil {
		return nil, invalid("create the group, or correct its name", "group %q is not known on this machine", c.Group)
	}
	return v, nil
}

func octal(field, s string, or fs.FileMode) (fs.FileMode, error) {
	if s == "" {
		return or, nil
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return 0, invalid("write three octal digits after a zero, such as 0640", "%s %q is not a file mode", field, s)
	}
	return fs.FileMode(n), nil
}

// id is a number, or what a name stands for; -1 for nothing.
func id(s string, lookup func(string) (string, error)) (int, error) {
	if s == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return int(n), nil
	}
	text, err := lookup(s)
	if err != nil {
		return -1, fmt.Errorf("look up %s: %w", s, err)
	}
	return strconv.Atoi(text)
}
