package agent

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/target/files"
)

// proposal is a lineage in staging that may go live.
type proposal struct {
	name, label  string
	files        map[string][]byte
	bundle       certfleet.Bundle
	same, remove bool
	unstaged     bool // it came as a parcel, and lies nowhere yet
}

// propose reads a lineage and checks it. No label means that there is nothing to
// do yet: more files are to come.
func (a *Agent) propose(name string, now time.Time) (proposal, error) {
	label, err := certfleet.LabelOf(name)
	if err != nil {
		return proposal{}, err
	}
	p := proposal{name: name, label: label}
	if p.files, err = a.staging.read(name); err != nil || len(p.files) == 0 {
		return proposal{}, err
	}
	paper, err := readPaper(p.files)
	if err != nil {
		return p, err
	}
	return a.weigh(p, paper, now)
}

// weigh checks what is to go live. No label means that something of it is missing.
func (a *Agent) weigh(p proposal, paper *lineage.Paper, now time.Time) (proposal, error) {
	switch {
	case paper != nil && paper.Remove:
		p.remove = true
		return p, nil
	case paper != nil && !paper.Complete(p.files):
		return proposal{}, nil
	}
	if v, ok := a.live.(*verbatim); ok {
		return a.proposeVerbatim(p, v, paper, now)
	}
	var err error
	chain, key := a.read(p.label)
	p.bundle, err = lineage.Join(p.label, p.files, key, paper, now)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return proposal{}, nil
	}
	p.bundle.Version, p.bundle.Path = now.Unix(), a.path(p.label)
	p.same = err == nil && string(chain) == string(p.bundle.ChainPEM) && string(key) == string(p.bundle.KeyPEM)
	return p, err
}

// path is where a certificate lies once it is live.
func (a *Agent) path(label string) string {
	name, err := certfleet.LineageName(label)
	switch {
	case err != nil:
		return ""
	case a.c.Layout == files.HAProxy:
		return filepath.Join(a.c.Dir, name+".pem")
	case a.c.Layout == Verbatim:
		return filepath.Join(a.c.Dir, name)
	case a.c.Layout == files.PeterSSLers:
		return filepath.Join(a.c.Dir, "global", name, "primary")
	}
	return filepath.Join(a.c.Dir, "live", name)
}

// read answers chain and key that are live, both nil when nothing is.
func (a *Agent) read(label string) (chain []byte, key certfleet.Secret) {
	p := a.path(label)
	if a.c.Layout == files.HAProxy {
		b, err := os.ReadFile(p)
		at := strings.Index(string(b), "-----BEGIN CERTIFICATE-----")
		if err != nil || at < 0 {
			return nil, nil
		}
		return b[at:], b[:at]
	}
	if to, err := filepath.EvalSymlinks(p); err == nil {
		p = to // the link may move between two files, what it leads to does not
	}
	chain, err := os.ReadFile(filepath.Join(p, lineage.FullChain))
	if err != nil {
		return nil, nil
	}
	if key, err = os.ReadFile(filepath.Join(p, lineage.PrivKey)); err != nil {
		return nil, nil
	}
	return chain, key
}
