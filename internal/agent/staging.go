package agent

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// own is the agent's folder in staging, which no pusher can name.
const own = ".agent"

// staging is the folder into which certificates are pushed. Everything goes
// through one os.Root, and links are not followed.
type staging struct {
	root *os.Root
	lock *os.File
	max  int64 // bytes of one file
	all  bool  // any *.pem belongs to a lineage

	mu   sync.Mutex     // guards busy
	busy map[string]int // lineages that an open session writes to
}

func openStaging(dir string, max int64) (*staging, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make staging folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open staging folder: %w", err)
	}
	s := &staging{root: root, max: max, busy: map[string]int{}}
	if err := root.MkdirAll(path.Join(own, "pending"), 0o700); err != nil {
		root.Close()
		return nil, fmt.Errorf("make the agent's folder in staging: %w", err)
	}
	if s.lock, err = root.OpenFile(path.Join(own, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		root.Close()
		return nil, fmt.Errorf("open the lock of staging: %w", err)
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		s.close()
		return nil, &certfleet.Error{Kind: certfleet.Conflict, Msg: fmt.Sprintf("another agent works on staging folder %q", dir), Advice: "let the daemon do it, or stop it before a sync", Err: err}
	}
	return s, nil
}

// close lets go of the folder; the kernel frees the lock of a process that dies.
func (s *staging) close() error { return errors.Join(s.lock.Close(), s.root.Close()) }

// hold keeps a lineage from going live while a session writes to it.
func (s *staging) hold(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[name]++
}

func (s *staging) release(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[name]--; s.busy[name] <= 0 {
		delete(s.busy, name)
	}
}

func (s *staging) held(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy[name] > 0
}

// lineages are the folders in staging, in order.
func (s *staging) lineages() ([]string, error) {
	dir, err := s.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	all, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range all {
		if e.Name()[0] != '.' && (e.IsDir() || e.Type()&fs.ModeSymlink != 0) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// dir opens the folder of a lineage if it is one, and not a link to one.
func (s *staging) dir(name string) (*os.Root, error) {
	info, err := s.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("%q in staging is no folder", name), Advice: "take it away; links are not followed"}
	}
	return s.root.OpenRoot(name)
}

// read answers the known files of a lineage; what else lies there is not looked
// at. A folder that is not there has none.
func (s *staging) read(name string) (map[string][]byte, error) {
	dir, err := s.dir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	files := map[string][]byte{}
	names := []string{lineage.Cert, lineage.Chain, lineage.FullChain, lineage.PrivKey, lineage.Manifest}
	if s.all {
		names = append(pemsIn(dir), lineage.Manifest)
	}
	for _, f := range names {
		b, err := readRegular(dir, f, s.max)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[f] = b
	}
	return files, nil
}

// readRegular reads a regular file of bounded size; a pipe could keep us for ever.
func readRegular(dir *os.Root, name string, max int64) ([]byte, error) {
	info, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > max {
		return nil, &certfleet.Error{Kind: certfleet.Denied, Msg: fmt.Sprintf("%s in staging is no file of at most %d bytes", name, max), Advice: "take it away and push again"}
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, max))
}

// put writes a file whole: at no instant does its name lead to a part of it.
func (s *staging) put(name, file string, data []byte) error {
	dir, err := s.dir(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		dir, err = s.dir(name)
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	temp := "." + rand.Text()
	if err := dir.WriteFile(temp, data, 0o600); err != nil {
		dir.Remove(temp)
		return err
	}
	if err := dir.Rename(temp, file); err != nil {
		dir.Remove(temp)
		return err
	}
	return nil
}

// clear takes away what went live: files that are still as they were read, and
// then the folder if nothing else is in it. Where a session writes by now it takes
// nothing: that session's pusher looks whether its files are there, and what is
// the same already goes when the session ends.
func (s *staging) clear(name string, read map[string][]byte) error {
	s.mu.Lock() // no session begins to write meanwhile
	defer s.mu.Unlock()
	if s.busy[name] > 0 {
		return nil
	}
	now, err := s.read(name)
	if err != nil || now == nil {
		return err
	}
	if !maps.EqualFunc(now, read, bytes.Equal) {
		return nil // something new came meanwhile; its turn is next
	}
	dir, err := s.dir(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, f := range leaving(read) {
		if err := dir.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	s.sweep(dir)
	s.root.Remove(name) // not empty is well
	return nil
}

// prune takes away a folder in which nothing lies that was left alone for a while,
// such as one of which a crash left no more than its name.
func (s *staging) prune(name string) {
	s.mu.Lock() // no session begins to write meanwhile
	defer s.mu.Unlock()
	info, err := s.root.Lstat(name)
	if err != nil || !info.IsDir() || s.busy[name] > 0 || lately(info, time.Now().Add(-quietTime)) {
		return
	}
	if dir, err := s.dir(name); err == nil {
		s.sweep(dir)
		dir.Close()
	}
	s.root.Remove(name) // not empty is well
}

// leaving is the order in which files are taken away: what a crash leaves of them is
// known as what is live already, by its chain and the key that is live.
func leaving(read map[string][]byte) []string {
	rank := map[string]int{lineage.Manifest: -2, lineage.PrivKey: -1, lineage.FullChain: 1}
	return slices.SortedFunc(maps.Keys(read), func(a, b string) int { return cmp.Compare(rank[a], rank[b]) })
}

// drop takes away what lies in staging of a lineage that went live from elsewhere.
func (s *staging) drop(name string) error {
	if _, err := s.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	old, err := s.read(name)
	if err != nil {
		return err
	}
	return s.clear(name, old)
}

// sweep removes halves of puts that a crash left.
func (s *staging) sweep(dir *os.Root) {
	d, err := dir.Open(".")
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, n := range names {
		if n[0] == '.' && len(n) == 27 { // a dot and rand.Text's 26 letters
			dir.Remove(n)
		}
	}
}
