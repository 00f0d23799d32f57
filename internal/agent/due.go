package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/updater"
)

// due is a certificate of which some updaters have not been told.
type due struct {
	bundle certfleet.Bundle
	left   map[string]bool // updaters, by name
	before *due            // an earlier change of the same certificate
}

func markFile(label string) (string, error) {
	name, err := certfleet.LineageName(label)
	return path.Join(own, "pending", name), err
}

// mark notes on disk, before a change, that all updaters are to be told of it.
func (a *Agent) mark(b certfleet.Bundle) error {
	d := &due{bundle: b, left: map[string]bool{}}
	for _, it := range a.items {
		if it.Concerns(b.Certificate) {
			d.left[it.Name] = true
		}
	}
	if len(d.left) == 0 {
		return nil
	}
	if err := a.save(d); err != nil {
		return err
	}
	if d.before = a.due[b.Certificate]; d.before != nil {
		d.before.before = nil
	}
	a.due[b.Certificate] = d
	return nil
}

// save writes the mark whole or not at all.
func (a *Agent) save(d *due) error {
	file, err := markFile(d.bundle.Certificate)
	if err != nil {
		return err
	}
	b, err := json.Marshal(slices.Sorted(maps.Keys(d.left)))
	if err != nil {
		return err
	}
	temp := path.Join(own, "mark")
	if err := a.staging.root.WriteFile(temp, b, 0o600); err != nil {
		return fmt.Errorf("note that services are to be told: %w", err)
	}
	if err := a.staging.root.Rename(temp, file); err != nil {
		return fmt.Errorf("note that services are to be told: %w", err)
	}
	return nil
}

// forget takes the mark away.
func (a *Agent) forget(label string) error {
	delete(a.due, label)
	file, err := markFile(label)
	if err != nil {
		return err
	}
	if err := a.staging.root.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note that services were told: %w", err)
	}
	return nil
}

// unmark takes back a mark whose change did not come about. A process that was
// killed there tells services once too often, which is well.
func (a *Agent) unmark(label string) error {
	d := a.due[label]
	if d == nil || d.before == nil {
		return a.forget(label)
	}
	a.due[label] = d.before
	return a.save(d.before)
}

// recall reads the marks that an earlier process left. An updater that is not
// configured any more is forgotten.
func (a *Agent) recall() error {
	dir, err := a.staging.root.Open(path.Join(own, "pending"))
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		label, err := certfleet.LabelOf(name)
		if err != nil {
			continue
		}
		if err := a.recallOne(name, label); err != nil {
			return err
		}
	}
	return nil
}

func (a *Agent) recallOne(name, label string) error {
	text, err := readRegular(a.staging.root, path.Join(own, "pending", name), 1<<20)
	if err != nil {
		return err
	}
	var left []string
	broken := json.Unmarshal(text, &left) != nil // then all are to be told
	d := &due{bundle: a.liveBundle(label), left: map[string]bool{}}
	for _, it := range a.items {
		if it.Concerns(label) && (broken || slices.Contains(left, it.Name)) {
			d.left[it.Name] = true
		}
	}
	if len(d.left) == 0 || d.bundle.Fingerprint == "" {
		return a.forget(label)
	}
	a.due[label] = d
	return nil
}

// liveBundle is what is live under a label; without a fingerprint when nothing is.
func (a *Agent) liveBundle(label string) certfleet.Bundle {
	b := certfleet.Bundle{Certificate: label, Path: a.path(label)}
	if v, ok := a.live.(*verbatim); ok {
		name, _ := certfleet.LineageName(label) // by which it was found
		b, _ = alone(label, v.read(name), time.Now())
		b.Path = a.path(label)
		return b
	}
	b.ChainPEM, b.KeyPEM = a.read(label)
	certs, _, err := pki.ParsePair(b.ChainPEM, b.KeyPEM)
	if err != nil {
		return b
	}
	b.Names, b.Fingerprint, b.NotAfter = pki.NamesOf(certs[0]), pki.Fingerprint(certs[0]), certs[0].NotAfter
	return b
}

// update runs the updaters that are due. What fails stays due.
func (a *Agent) update(ctx context.Context) []updater.Result {
	list, bundles, marks := a.dueNow()
	if len(bundles) == 0 {
		return nil
	}
	a.log.Info("updating services", "certificates", len(bundles))
	results := updater.Run(ctx, list, bundles, updater.Options{FailFast: a.c.FailFast, Log: a.log})
	a.settle(results, marks)
	a.log.Info("services were told", "certificates", len(bundles))
	a.told.updated(results, bundles)
	return results
}

// dueNow is a snapshot with the marks that it was made of, so that certificates
// go live while updaters run.
func (a *Agent) dueNow() ([]updater.Item, []certfleet.Bundle, []*due) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := map[string]map[string]bool{}
	var bundles []certfleet.Bundle
	var marks []*due
	for _, label := range slices.Sorted(maps.Keys(a.due)) {
		left[label] = maps.Clone(a.due[label].left)
		bundles, marks = append(bundles, a.due[label].bundle), append(marks, a.due[label])
	}
	list := slices.Clone(a.items)
	for i, it := range list {
		list[i].Only = func(b certfleet.Bundle) bool { return left[b.Certificate][it.Name] }
	}
	return list, bundles, marks
}

// settle takes off what was told. A certificate that was marked anew meanwhile
// stays due, also when it is the same one that is to be told once more.
func (a *Agent) settle(results []updater.Result, marks []*due) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range marks {
		label := d.bundle.Certificate
		if a.due[label] != d {
			continue
		}
		for _, r := range results {
			if r.OK {
				delete(d.left, r.Name)
			}
		}
		err := a.save(d)
		if len(d.left) == 0 {
			err = a.forget(label)
		}
		if err != nil {
			a.log.Error("updaters will run again", "certificate", label, "error", err)
		}
	}
}
