package agent

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/pki/lineage"
	"github.com/certfleet/certfleet/internal/target/files"
)

// Verbatim is the layout of certdeploy's client: DIR/NAME is a folder that holds
// what was staged, byte for byte, any *.pem and not always a pair. The folder
// stays; its files are replaced one right after the other.
const Verbatim files.Layout = "certdeploy"

// verbatim is the live folder in that layout.
type verbatim struct {
	dir      string
	uid, gid int         // -1 leaves it as it is
	mode     fs.FileMode // of all files; zero for 0600 where a key is in it, else 0644
	dirMode  fs.FileMode
}

// put brings proposals to live, each on its own.
func (v *verbatim) put(_ context.Context, going []proposal) ([]certfleet.Receipt, error) {
	receipts := make([]certfleet.Receipt, len(going))
	for i, p := range going {
		receipts[i] = certfleet.Receipt{Certificate: p.label, Version: p.bundle.Version, Fingerprint: p.bundle.Fingerprint}
		receipts[i].Err = v.write(p.name, p.files)
		receipts[i].Applied = receipts[i].Err == nil
	}
	return receipts, nil
}

// write writes all files beside their places, and then puts them there. A crash
// between leaves the rest in staging, from where it comes with the next run.
func (v *verbatim) write(name string, staged map[string][]byte) error {
	dir, err := v.open(name)
	if err != nil {
		return unwritten(err)
	}
	defer dir.Close()
	temps := map[string]string{}
	defer func() {
		for _, t := range temps {
			dir.Remove(t)
		}
	}()
	for _, f := range pems(staged) {
		if now, err := readRegular(dir, f, maxLive); err == nil && bytes.Equal(now, staged[f]) {
			continue
		}
		temps[f] = "." + f + ".new"
		if err := v.prepare(dir, temps[f], staged[f]); err != nil {
			return unwritten(err)
		}
	}
	for _, f := range pems(staged) {
		if t := temps[f]; t != "" {
			if err := dir.Rename(t, f); err != nil {
				return unwritten(err)
			}
			delete(temps, f)
		}
	}
	return unwritten(syncDir(dir))
}

// maxLive bounds what is read of a live file, in bytes.
const maxLive = 1 << 20

// open makes the lineage's folder, and gives it its owner and mode each time.
func (v *verbatim) open(name string) (*os.Root, error) {
	if err := os.MkdirAll(v.dir, v.dirMode); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(v.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := root.Mkdir(name, v.dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if v.uid >= 0 || v.gid >= 0 {
		if err := root.Chown(name, v.uid, v.gid); err != nil {
			return nil, err
		}
	}
	if err := root.Chmod(name, v.dirMode); err != nil {
		return nil, err
	}
	return root.OpenRoot(name)
}

// prepare writes a file that nobody else reads until it has its owner and mode.
func (v *verbatim) prepare(dir *os.Root, temp string, data []byte) error {
	dir.Remove(temp) // a crash may have left it
	f, err := dir.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if v.uid >= 0 || v.gid >= 0 {
		if err := f.Chown(v.uid, v.gid); err != nil {
			return err
		}
	}
	return errors.Join(f.Chmod(v.modeOf(data)), f.Sync())
}

// modeOf never lets everybody on the machine read a key.
func (v *verbatim) modeOf(data []byte) fs.FileMode {
	secret := bytes.Contains(data, []byte("PRIVATE KEY-----"))
	switch {
	case v.mode != 0 && secret:
		return v.mode &^ 0o007
	case v.mode != 0:
		return v.mode
	case secret:
		return 0o600
	}
	return 0o644
}

// Remove takes a lineage's *.pem away, and its folder if nothing else is in it.
func (v *verbatim) Remove(_ context.Context, label string, _ certfleet.Receipt) error {
	name, err := certfleet.LineageName(label)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(v.dir)
	if err != nil {
		return unwritten(err)
	}
	defer root.Close()
	for f := range v.read(name) {
		if err := root.Remove(path.Join(name, f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unwritten(err)
		}
	}
	root.Remove(name) // not empty is well
	return nil
}

// Holds is the fingerprint of what is live.
func (v *verbatim) Holds(_ context.Context, label string, _ certfleet.Receipt) (string, error) {
	name, err := certfleet.LineageName(label)
	if err != nil {
		return "", err
	}
	return fingerprintOf(v.read(name)), nil
}

// read answers what is live of a lineage.
func (v *verbatim) read(name string) map[string][]byte {
	dir, err := os.OpenRoot(filepath.Join(v.dir, name))
	if err != nil {
		return nil
	}
	defer dir.Close()
	live := map[string][]byte{}
	for _, f := range pemsIn(dir) {
		if b, err := readRegular(dir, f, maxLive); err == nil {
			live[f] = b
		}
	}
	return live
}

// fingerprintOf is the leaf's, or without a chain a sum of all that is there.
func fingerprintOf(all map[string][]byte) string {
	if chain, err := pki.ParseChain(all[lineage.FullChain]); err == nil {
		return pki.Fingerprint(chain[0])
	}
	var text []byte
	for _, f := range pems(all) {
		text = append(append(append(text, f...), 0), all[f]...)
	}
	if text == nil {
		return ""
	}
	return lineage.Sum(text)
}

// pems are the names of the *.pem among files, in an order that has the key right
// behind its chain.
func pems(all map[string][]byte) (names []string) {
	for f := range all {
		if isPEM(f) {
			names = append(names, f)
		}
	}
	slices.Sort(names)
	return names
}

// isPEM is the rule by which certdeploy's client chooses files.
func isPEM(file string) bool { return strings.HasSuffix(file, ".pem") && file[0] != '.' }

// pemsIn are the *.pem of a folder, so many at most that a flood stops nothing.
func pemsIn(dir *os.Root) (names []string) {
	d, err := dir.Open(".")
	if err != nil {
		return nil
	}
	defer d.Close()
	all, _ := d.Readdirnames(1000)
	for _, f := range all {
		if isPEM(f) && len(names) < maxPEMs {
			names = append(names, f)
		}
	}
	return names
}

const maxPEMs = 32

func syncDir(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func unwritten(err error) error {
	if err == nil || errors.As(err, new(*certfleet.Error)) {
		return err
	}
	e := &certfleet.Error{Kind: certfleet.Internal, Msg: "files could not be written", Advice: "look at the destination and its file system", Err: err}
	if errors.Is(err, fs.ErrPermission) {
		e.Kind, e.Advice = certfleet.Denied, "let the user that this runs as write there; only root may give files to another owner"
	}
	return e
}

// proposeVerbatim checks what was staged together with what is live: a chain and a
// key of one lineage must fit, whichever came now. A lineage that has but one of
// the two takes it alone.
func (a *Agent) proposeVerbatim(p proposal, v *verbatim, paper *lineage.Paper, now time.Time) (proposal, error) {
	if len(pems(p.files)) == 0 {
		return proposal{}, nil
	}
	for _, f := range pems(p.files) {
		if err := parses(p.files[f]); err != nil {
			return p, &certfleet.Error{Kind: certfleet.Invalid, Msg: "file " + f, Advice: certfleet.AdviceOf(err), Err: err}
		}
	}
	live := v.read(p.name)
	after := map[string][]byte{} // what would be live
	for f, b := range live {
		after[f] = b
	}
	p.same = true
	for _, f := range pems(p.files) {
		after[f], p.same = p.files[f], p.same && bytes.Equal(live[f], p.files[f])
	}
	var err error
	if after[lineage.FullChain] != nil && after[lineage.PrivKey] != nil {
		pair := map[string][]byte{lineage.FullChain: after[lineage.FullChain], lineage.PrivKey: after[lineage.PrivKey]}
		p.bundle, err = lineage.Join(p.label, pair, nil, paper, now)
	} else {
		p.bundle, err = alone(p.label, after, now)
	}
	p.bundle.Version, p.bundle.Path = now.Unix(), filepath.Join(v.dir, p.name)
	return p, err
}

// alone describes a lineage that is no pair.
func alone(label string, all map[string][]byte, now time.Time) (certfleet.Bundle, error) {
	b := certfleet.Bundle{Certificate: label, ChainPEM: all[lineage.FullChain], KeyPEM: all[lineage.PrivKey], Fingerprint: fingerprintOf(all)}
	if b.ChainPEM == nil {
		return b, nil
	}
	chain, err := pki.ParseChain(b.ChainPEM)
	if err != nil {
		return b, err
	}
	b.Names, b.NotAfter = pki.NamesOf(chain[0]), chain[0].NotAfter
	return b, pki.CheckLeaf(chain[0], nil, now)
}

// parses accepts certificates, keys, and both together.
func parses(text []byte) error {
	if !bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		_, err := pki.ParseCertificates(text)
		return err
	}
	if bytes.Contains(text, []byte("-----BEGIN CERTIFICATE-----")) {
		if _, err := pki.ParseCertificates(text); err != nil {
			return err
		}
	}
	_, err := pki.ParseKey(text)
	return err
}
