package files

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/dial"
)

// change is a certificate whose command has not run yet.
type change struct {
	content
	bundle  certfleet.Bundle
	lineage string // absolute path
	receipt *certfleet.Receipt
}

func (r *room) pendingFile(name string) string { return path.Join(r.disk.work, "pending", name) }

// mark notes before a change that the command is due for it, so that neither a
// crash nor a failed command loses a reload.
func (t *Target) mark(r *room, label, name string) error {
	if len(t.Command) == 0 && !t.tells(label) || r.pending(name) {
		return nil
	}
	if err := r.disk.write(r.pendingFile(name), nil, keyMode); err != nil {
		return err
	}
	r.disk.sync(path.Dir(r.pendingFile(name)))
	return nil
}

// marks reports whether there is anything to run after a change.
func (t *Target) marks() bool { return len(t.Command) > 0 || len(t.items) > 0 }

// marking makes the folder of the marks.
func (t *Target) marking(r *room) error {
	if !t.marks() {
		return nil
	}
	pending := path.Dir(r.pendingFile("any"))
	if err := r.disk.folder(pending); err != nil {
		return err
	}
	return r.disk.hold(pending)
}

func (r *room) pending(name string) bool {
	there, _ := r.disk.there(r.pendingFile(name))
	return there
}

// settle takes the mark away.
func (r *room) settle(name string) error {
	if !r.pending(name) {
		return nil
	}
	err := r.disk.remove(r.pendingFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// update runs the command for what changed; where it fails, the receipts say so.
func (t *Target) update(ctx context.Context, r *room, changed []change) {
	groups := [][]change{changed}
	if t.CommandEach {
		groups = nil
		for i := range changed {
			groups = append(groups, changed[i:i+1])
		}
	}
	for _, g := range groups {
		if len(g) > 0 {
			t.run(ctx, r, g)
		}
	}
	t.tell(ctx, r, changed)
	if err := r.disk.barrier(); err != nil { // marks that were taken away may come back
		for _, c := range changed {
			if c.receipt.Err == nil {
				c.receipt.Applied, c.receipt.Err = false, explain(err)
			}
		}
	}
}

func (t *Target) run(ctx context.Context, r *room, changed []change) {
	var err error
	if len(t.Command) > 0 {
		_, err = dial.Program{Argv: t.Command, Env: environ(changed), Timeout: time.Duration(t.Timeout)}.Run(ctx)
	}
	for _, c := range changed {
		failed := err
		if failed == nil && !t.tells(c.label) {
			failed = r.settle(c.name)
		}
		if failed != nil {
			c.receipt.Applied, c.receipt.Err = false, explain(failed)
		}
	}
}

func environ(changed []change) map[string]string {
	var lineages, domains []string
	for _, c := range changed {
		lineages, domains = append(lineages, c.lineage), append(domains, c.domains...)
	}
	env := map[string]string{"CERTFLEET_LINEAGE": strings.Join(lineages, "\n"), "CERTFLEET_DOMAINS": strings.Join(domains, " ")}
	if len(changed) == 1 {
		env["RENEWED_LINEAGE"], env["RENEWED_DOMAINS"] = env["CERTFLEET_LINEAGE"], env["CERTFLEET_DOMAINS"]
	}
	return env
}
