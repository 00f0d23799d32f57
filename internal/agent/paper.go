package agent

import (
	"context"
	"encoding/json"
	"io/fs"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// How long a lineage without a manifest must have been left alone before a Sync
// takes it, how long Sync waits for that, and how often it looks.
const (
	quietTime = 2 * time.Second
	quietWait = 30 * time.Second
	quietPace = 200 * time.Millisecond
)

// readPaper is the manifest among the files; nil when there is none.
func readPaper(files map[string][]byte) (*lineage.Paper, error) {
	text, ok := files[lineage.Manifest]
	if !ok {
		return nil, nil
	}
	var p lineage.Paper
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, &certfleet.Error{Kind: certfleet.Invalid, Msg: "the manifest is not understood", Advice: "push again, and let pusher and agent be of the same release", Err: err}
	}
	return &p, nil
}

// quiet waits, for a while at most, until no lineage without a manifest was
// written to just now.
func (a *Agent) quiet(ctx context.Context) error {
	for end := time.Now().Add(quietWait); time.Now().Before(end); {
		busy, err := a.written(time.Now().Add(-quietTime))
		if err != nil || !busy {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(quietPace):
		}
	}
	return nil
}

// written reports whether something that has no manifest changed since.
func (a *Agent) written(since time.Time) (bool, error) {
	names, err := a.staging.lineages()
	if err != nil {
		return false, err
	}
	for _, name := range names {
		dir, err := a.staging.dir(name)
		if err != nil {
			continue // apply says so
		}
		some, fresh := false, false
		for _, f := range []string{lineage.Cert, lineage.Chain, lineage.FullChain, lineage.PrivKey} {
			info, err := dir.Lstat(f)
			some, fresh = some || err == nil, fresh || err == nil && lately(info, since)
		}
		if !some { // just made, or just left
			info, err := dir.Lstat(".")
			fresh = err == nil && lately(info, since)
		}
		_, err = dir.Lstat(lineage.Manifest)
		dir.Close()
		if fresh && err != nil {
			return true, nil
		}
	}
	return false, nil
}

// lately reports whether it changed since. A time in the future counts as long ago:
// a clock that jumped must not stop anything.
func lately(info fs.FileInfo, since time.Time) bool {
	return info.ModTime().After(since) && !info.ModTime().After(time.Now())
}

// status is what a pusher may know about a lineage.
func (a *Agent) status(ctx context.Context, name string) ([]byte, error) {
	label, err := certfleet.LabelOf(name)
	if err != nil {
		return nil, fs.ErrNotExist
	}
	a.mu.Lock() // so that what is being applied is applied
	defer a.mu.Unlock()
	s := lineage.State{Certificate: label}
	if held, err := a.live.Holds(ctx, label, certfleet.Receipt{}); err == nil {
		s.Fingerprint = held
	}
	if chain, _ := a.read(label); chain != nil {
		if certs, err := pki.ParseChain(chain); err == nil {
			s.NotAfter = certs[0].NotAfter.UTC()
		}
	}
	if err := a.problems[name]; err != nil {
		s.Problem, s.Advice = err.Error(), certfleet.AdviceOf(err)
	}
	return json.Marshal(s)
}
