package files

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"syscall"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
	"github.com/certfleet/certfleet/internal/updater"
	"github.com/certfleet/certfleet/internal/updater/plugins"
)

// Target writes certificates into one folder.
type Target struct {
	settled
	items []updater.Item
	log   *slog.Logger
	hook  func(op string) error // dies before a file operation, in tests
}

// layout is one way in which files lie in the folder.
type layout interface {
	begin() error                       // before the first is prepared
	in(lane int) layout                 // for a lane beside others
	wanted(c content) map[string][]byte // the files of a certificate
	lineage(name string) string         // its path below the root
	read(name string) (*held, error)    // what is there; nil when nothing is
	// prepare makes it beside what is live, and answers what brings it live at
	// once, or not at all. What is prepared lasts only after a barrier.
	prepare(c content, before *held) (golive func() error, err error)
	tend(c content, h *held) error // owners, modes and links of what is there
	drop(label, name string) error // forgets it
}

// New checks the configuration; it touches no file.
func New(c Config, d dial.Deps) (*Target, error) {
	s, err := settle(c)
	if err != nil {
		return nil, err
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	items, err := plugins.Items(c.Updaters, d)
	if err != nil {
		return nil, err
	}
	return &Target{settled: s, items: items, log: d.Log.With("dir", s.Dir)}, nil
}

// room is the opened folder, while its lock is held.
type room struct {
	layout
	disk *disk
	base string // absolute path of the root
	lock *os.File
}

func (r *room) close() {
	r.disk.last.forget()
	r.disk.release()
	r.lock.Close()
	r.disk.root.Close()
}

// Holds answers the fingerprint of the pair that is on disk, empty when there
// is none, and an error when key and chain there do not fit each other.
func (t *Target) Holds(ctx context.Context, certificate string, _ certfleet.Receipt) (string, error) {
	name, err := certfleet.LineageName(certificate)
	if err != nil {
		return "", err
	}
	l, d, _, err := t.layout()
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", explain(err)
	}
	defer d.root.Close()
	h, err := l.read(name)
	if err != nil || h == nil {
		return "", explain(err)
	}
	return h.fingerprint, explain(h.problem)
}

// Read answers the pair that is on disk, key and all; nil when there is none that
// works.
func (t *Target) Read(_ context.Context, certificate string, _ certfleet.Receipt) (*certfleet.Bundle, error) {
	name, err := certfleet.LineageName(certificate)
	if err != nil {
		return nil, err
	}
	l, d, _, err := t.layout()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	defer d.root.Close()
	h, err := l.read(name)
	if err != nil || h == nil || h.problem != nil {
		return nil, explain(err)
	}
	b, err := h.bundle(certificate)
	return b, explain(err)
}

// Remove takes the certificate's files away. It runs no command: a server that
// still names them would not start again.
func (t *Target) Remove(ctx context.Context, certificate string, _ certfleet.Receipt) error {
	name, err := certfleet.LineageName(certificate)
	if err != nil {
		return err
	}
	r, err := t.open(ctx)
	if err != nil {
		return explain(err)
	}
	defer r.close()
	h, err := r.read(name)
	if err != nil || h == nil {
		return explain(err)
	}
	return explain(errors.Join(r.drop(certificate, name), r.settle(name), r.disk.barrier()))
}

// explain gives the mistakes of every day their advice.
func explain(err error) error {
	if _, ok := errors.AsType[*certfleet.Error](err); ok || err == nil {
		return err
	}
	e := &certfleet.Error{Kind: certfleet.Internal, Msg: "files could not be written", Advice: "look at the folder and its file system", Err: err}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Advice = certfleet.Denied, "let the user that certfleet runs as write there; only root may give files to another owner"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Kind, e.Advice = certfleet.Limited, "free space on the file system"
	case errors.Is(err, syscall.EROFS):
		e.Kind, e.Advice = certfleet.Denied, "mount the file system writable, or choose another folder"
	}
	return e
}
