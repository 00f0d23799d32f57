package sftp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// versions is the folder, beside the lineages, in which their versions lie.
const versions = ".certfleet"

// The extensions of OpenSSH by which a rename replaces what is there, and a file is
// put on disk.
const (
	posixRename = "posix-rename@openssh.com"
	fsync       = "fsync@openssh.com"
)

// makeDirs makes a folder and those above it that are missing. An existing one
// costs one request.
func makeDirs(s *session, dir string) error {
	_, err := s.Stat(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if up := path.Dir(dir); up != "." && up != "/" {
		if err := makeDirs(s, up); err != nil {
			return err
		}
	}
	if err := s.Mkdir(dir); err != nil {
		if _, there := s.Stat(dir); there == nil {
			return nil // somebody else was faster
		}
		return err
	}
	return nil
}

// write writes a file and looks whether all of it is there. Its mode is set before
// anything is in it, since servers differ in what they give.
func write(s *session, name string, f file) error {
	w, err := s.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := guard(w.Chmod, w.Stat, f.name); err != nil {
		return err
	}
	if _, err := w.Write(f.data); err != nil {
		return err
	}
	if _, can := s.HasExtension(fsync); can { // a link must not lead to what a power cut would empty
		if err := w.Sync(); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	info, err := s.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() != int64(len(f.data)) {
		return fmt.Errorf("%s has %d of %d bytes", f.name, info.Size(), len(f.data))
	}
	return nil
}

// guard lets nobody but the owner read a key. A server that takes no modes must
// have chosen a good one itself.
func guard(chmod func(fs.FileMode) error, stat func() (fs.FileInfo, error), name string) error {
	mode := fs.FileMode(0o644)
	if name == lineage.PrivKey || name == lineage.Manifest {
		mode = 0o600
	}
	err := chmod(mode)
	if err == nil || mode != 0o600 {
		return nil
	}
	info, statErr := stat()
	if statErr == nil && info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return &certfleet.Error{Kind: certfleet.Denied, Msg: "the host would let others read the private key", Advice: "let the SSH server accept modes (FSETSTAT), or start it with umask 077", Err: err}
}

// putByRename makes the version's folder and then lets the lineage lead to it.
func (t *Target) putByRename(s *session, l load) error {
	at := path.Join(t.c.Path, l.name)
	if _, ok := s.HasExtension(posixRename); !ok {
		return t.putInPlace(s, l)
	}
	to := path.Join(versions, l.name, fmt.Sprintf("%d-%.12s", l.bundle.Version, l.bundle.Fingerprint))
	if t.there(s, at, to, l) {
		return nil
	}
	dir := path.Join(t.c.Path, to)
	if err := makeDirs(s, dir); err != nil {
		return err
	}
	for _, f := range l.files {
		if err := write(s, path.Join(dir, f.name), f); err != nil {
			return err
		}
	}
	if info, err := s.Lstat(at); err == nil && info.IsDir() {
		return replaceFiles(s, dir, at, l)
	}
	next := path.Join(t.c.Path, versions, l.name, "next")
	s.Remove(next) // a crash may have left it
	if err := s.Symlink(to, next); err != nil {
		return err
	}
	if err := s.PosixRename(next, at); err != nil {
		return err
	}
	prune(s, path.Dir(dir), path.Base(to))
	return nil
}

// there reports whether the lineage leads to this version already, and all of its
// files have their sizes.
func (t *Target) there(s *session, at, to string, l load) bool {
	if now, err := s.ReadLink(at); err != nil || now != to {
		return false
	}
	for _, f := range l.files {
		info, err := s.Stat(path.Join(at, f.name))
		if err != nil || info.Size() != int64(len(f.data)) {
			return false
		}
	}
	return true
}

// replaceFiles is for a lineage that somebody else made as a folder. Each file is
// replaced at once, right after one another.
func replaceFiles(s *session, from, at string, l load) error {
	for _, f := range l.files {
		if err := s.PosixRename(path.Join(from, f.name), path.Join(at, f.name)); err != nil {
			return err
		}
	}
	s.RemoveDirectory(from)
	return nil
}

// prune keeps the current version and the one before it.
func prune(s *session, dir, current string) {
	all, err := s.ReadDir(dir)
	if err != nil {
		return // the next delivery tries again
	}
	var old []string
	for _, e := range all {
		if e.IsDir() && e.Name() != current {
			old = append(old, e.Name())
		}
	}
	slices.SortFunc(old, func(a, b string) int { return int(max(-1, min(1, versionOf(b)-versionOf(a)))) })
	for _, v := range old[min(1, len(old)):] {
		s.RemoveAll(path.Join(dir, v))
	}
}

func versionOf(folder string) int64 {
	number, _, _ := strings.Cut(folder, "-")
	n, _ := strconv.ParseInt(number, 10, 64)
	return n
}
