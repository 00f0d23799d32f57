package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/certfleet/certfleet"
)

// patience is how long another process may hold the folder, and pace how often
// it is asked.
const (
	patience = time.Minute
	pace     = 20 * time.Millisecond
)

// layout opens the root and knows how files lie in it. The root of haproxy is
// the folder above, since the folder itself may hold finished files alone.
func (t *Target) layout() (layout, *disk, string, error) {
	base, live := t.Dir, "live"
	if t.Layout == HAProxy {
		dir, err := filepath.EvalSymlinks(t.Dir)
		if errors.Is(err, fs.ErrNotExist) {
			dir, err = t.Dir, nil
		}
		if err != nil {
			return nil, nil, "", err
		}
		base, live = filepath.Dir(dir), filepath.Base(dir)
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return nil, nil, "", err
	}
	d := &disk{root: root, uid: t.uid, gid: t.gid, dirs: t.dirs, hook: t.hook, work: ".certfleet", last: &lasting{dirs: map[string]bool{}}, held: map[string]*os.File{}, given: &sync.Map{}}
	switch t.Layout {
	case HAProxy:
		d.work += "-" + live
		return &combined{disk: *d, settled: t.settled, live: live}, d, base, nil
	case PeterSSLers:
		return &folders{disk: *d, settled: t.settled, live: t.Factory, archive: ".archive", sub: "primary"}, d, base, nil
	}
	return &folders{disk: *d, settled: t.settled, live: live, archive: "archive"}, d, base, nil
}

// open makes the folder if it is not there, and takes its lock.
func (t *Target) open(ctx context.Context) (*room, error) {
	if err := t.makeDir(); err != nil {
		return nil, err
	}
	l, d, base, err := t.layout()
	if err != nil {
		return nil, err
	}
	lock, err := d.lock(ctx)
	if err != nil {
		d.root.Close()
		return nil, err
	}
	return &room{layout: l, disk: d, base: base, lock: lock}, nil
}

func (t *Target) makeDir() error {
	dir := t.Dir
	if t.Layout == HAProxy {
		dir = filepath.Dir(dir)
	}
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	if t.uid >= 0 || t.gid >= 0 {
		if err := os.Chown(dir, t.uid, t.gid); err != nil {
			return err
		}
	}
	return os.Chmod(dir, t.dirs)
}

// lock keeps other processes out of the folder; the kernel frees it when we die.
func (d *disk) lock(ctx context.Context) (*os.File, error) {
	if err := d.root.Mkdir(d.work, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, err := d.root.OpenFile(path.Join(d.work, "lock"), os.O_CREATE|os.O_RDWR, keyMode)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, &certfleet.Error{Kind: certfleet.Conflict, Msg: "another process is writing into the folder", Advice: "let one certfleet deliver to a folder", Err: ctx.Err()}
		case <-time.After(pace):
		}
	}
}
