package files

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// manyBundles is from how many bundles on the whole file system is synchronised
// twice, instead of each file and folder by itself.
const manyBundles = 8

// lasting is what was written and is left to the next barrier. A disk shares it
// with its layout and their lanes.
type lasting struct {
	whole bool // a barrier synchronises the whole file system, so nothing is noted

	since atomic.Bool // something was written since the last barrier

	mu    sync.Mutex // guards what follows
	files []written
	dirs  map[string]bool
}

// written is a file that was written, and is still open.
type written struct {
	name string
	fd   int
}

// many says whether a barrier takes the whole file system at once.
func (d *disk) many(yes bool) { d.last.whole = yes }

// wrote takes over a file that is written; it is closed here or by the barrier.
func (d *disk) wrote(name string, fd int) error {
	d.last.since.Store(true)
	if d.last.whole {
		return unix.Close(fd)
	}
	d.last.mu.Lock()
	defer d.last.mu.Unlock()
	d.last.files = append(d.last.files, written{name, fd})
	return nil
}

// sync leaves the entries of a folder to the next barrier.
func (d *disk) sync(dir string) {
	d.last.since.Store(true)
	if d.last.whole {
		return
	}
	d.last.mu.Lock()
	defer d.last.mu.Unlock()
	d.last.dirs[dir] = true
}

// take is what the barrier has to make last.
func (l *lasting) take() ([]written, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	files, dirs := l.files, slices.Sorted(maps.Keys(l.dirs))
	l.files, l.dirs = nil, map[string]bool{}
	return files, dirs
}

// barrier makes all that was written so far last.
func (d *disk) barrier() error {
	if !d.last.since.Swap(false) {
		return nil
	}
	if d.last.whole {
		return d.do("syncfs", ".", func() error { return d.onFolder(".", unix.Syncfs) })
	}
	files, dirs := d.last.take()
	// All are on their way to the disk before the first is waited for: so they share
	// one commit of the file system's journal.
	for _, f := range files {
		unix.SyncFileRange(f.fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE) // a file system without it loses time only
	}
	var all error
	for _, f := range files {
		err := all
		if err == nil {
			err = d.do("fsync", f.name, func() error { return patient(func() error { return unix.Fsync(f.fd) }) })
		}
		unix.Close(f.fd)
		all = err
	}
	for _, dir := range dirs {
		if all == nil {
			all = d.do("fsync", dir, func() error { return d.onFolder(dir, unix.Fsync) })
		}
	}
	return all
}

// forget closes what no barrier came for.
func (l *lasting) forget() {
	files, _ := l.take()
	for _, f := range files {
		unix.Close(f.fd)
	}
}

// onFolder opens a folder and does something with it.
func (d *disk) onFolder(name string, do func(fd int) error) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(patient(func() error { return do(int(f.Fd())) }), f.Close())
}
