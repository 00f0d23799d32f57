package sftp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// Holds asks an agent what is live there, and reads the chain from other hosts.
// Empty means that nothing is there: certdeploy's client takes away what it has
// brought to its service.
func (t *Target) Holds(ctx context.Context, certificate string, _ certfleet.Receipt) (string, error) {
	var held string
	err := t.with(ctx, certificate, func(s *session, peer Peer, name string) (err error) {
		if held, err = t.holds(s, peer, name); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return held, err
}

func (t *Target) holds(s *session, peer Peer, name string) (string, error) {
	if peer == Agent {
		state, err := t.status(s, name)
		return state.Fingerprint, err
	}
	text, err := readFile(s, path.Join(t.c.Path, name, lineage.FullChain))
	if err != nil {
		return "", err
	}
	return fingerprintOf(text)
}

// Remove takes a certificate away. An agent is asked to; certdeploy's client
// cannot be.
func (t *Target) Remove(ctx context.Context, certificate string, _ certfleet.Receipt) error {
	return t.with(ctx, certificate, func(s *session, peer Peer, name string) error {
		switch peer {
		case Agent:
			return t.removeAtAgent(s, certificate, name)
		case Certdeploy:
			return &certfleet.Error{Kind: certfleet.Denied, Msg: "certdeploy's client removes nothing", Advice: "remove the lineage " + name + " on the host itself"}
		}
		return t.removeByName(s, name)
	})
}

func (t *Target) removeAtAgent(s *session, certificate, name string) error {
	text, err := json.Marshal(lineage.Paper{Certificate: certificate, Remove: true})
	if err != nil {
		return err
	}
	return t.putInPlace(s, load{name: name, files: []file{{lineage.Manifest, text}}})
}

// removeByName removes the link first, so that nothing leads to what goes.
func (t *Target) removeByName(s *session, name string) error {
	at := path.Join(t.c.Path, name)
	info, err := s.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir():
		if err := removeFolder(s, at); err != nil {
			return err
		}
	default:
		if err := s.Remove(at); err != nil {
			return err
		}
	}
	kept := path.Join(t.c.Path, versions, name)
	if _, err := s.Lstat(kept); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.RemoveAll(kept)
}

// removeFolder removes our files of a lineage; others, and then the folder, stay.
func removeFolder(s *session, dir string) error {
	for _, f := range []string{lineage.PrivKey, lineage.FullChain, lineage.Chain, lineage.Manifest} {
		if err := s.Remove(path.Join(dir, f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := s.RemoveDirectory(dir); err != nil && statusOf(err) != statusFailure {
		return fmt.Errorf("remove folder: %w", err)
	}
	return nil
}

// with does something about one certificate in a session of its own.
func (t *Target) with(ctx context.Context, certificate string, do func(*session, Peer, string) error) error {
	name, err := certfleet.LineageName(certificate)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, whole)
	defer cancel()
	c, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	s, err := t.session(c)
	if err != nil {
		return err
	}
	defer s.end(c)
	return t.explain("look at "+name, do(s, c.peer, name))
}
