package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync"
	"syscall"
)

// disk is every change that is made to the file system, confined to one root.
// Each operation asks the hook first, by which a test dies there. What is changed
// lasts after the next barrier.
type disk struct {
	root     *os.Root
	held     map[string]*os.File // folders that are open; only hold and release change it
	uid, gid int
	dirs     fs.FileMode
	work     string // the folder where everything lies that is in the making
	lane     string // ends the names of what is in the making, so that lanes do not meet
	hook     func(op string) error
	last     *lasting
	given    *sync.Map // by mode: whether what is made gets just this mode
}

// making is the name in the work folder of what is being made in this lane.
func (d *disk) making(what string) string { return path.Join(d.work, what+d.lane) }

// inLane names the lane; the first one has no name.
func (d *disk) inLane(n int) {
	if n > 0 {
		d.lane = "-" + strconv.Itoa(n)
	}
}

func (d *disk) do(op, name string, f func() error) error {
	if d.hook != nil {
		if err := d.hook(op + " " + name); err != nil {
			return err
		}
	}
	if err := f(); err != nil {
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	return nil
}

// folder makes a folder and its parents, with their owner and mode whatever the
// umask; what is there stays as it is. It is made elsewhere and moved, so that
// a crash leaves none with a wrong mode.
func (d *disk) folder(name string) error {
	if _, err := d.root.Stat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if up := path.Dir(name); up != "." {
		if err := d.folder(up); err != nil {
			return err
		}
	}
	temp := d.making("folder")
	if err := d.fresh(temp); err != nil {
		return err
	}
	return d.rename(temp, name)
}

// anew makes something in the work folder; what a crash left there goes first.
func (d *disk) anew(op, name string, make func() error) error {
	err := d.do(op, name, make)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.clear(name); err != nil {
		return err
	}
	return d.do(op, name, make)
}

// fresh makes an empty folder, with its owner and mode, where only we look until it
// is moved.
func (d *disk) fresh(name string) error {
	if err := d.anew("mkdir", name, func() error { return d.mkdir(name, d.dirs) }); err != nil {
		return err
	}
	return d.moded(name, fs.ModeDir|d.dirs,
		func() (fs.FileMode, error) { info, err := d.root.Lstat(name); return modeOf(info), err },
		func() error { return errors.Join(d.own(name), d.root.Chmod(name, d.dirs)) })
}

func modeOf(info fs.FileInfo) fs.FileMode {
	if info == nil {
		return 0
	}
	return info.Mode() & (fs.ModeDir | fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

// moded sees to it that what was just made has its mode, and its owner. Where the
// first one of a kind got what was asked for (the umask and the folder's lists of
// access see to that), the others get it too and are not looked at.
func (d *disk) moded(name string, want fs.FileMode, stat func() (fs.FileMode, error), set func() error) error {
	if !d.owned() {
		just, known := d.given.Load(want)
		if !known {
			got, err := stat()
			just = err == nil && got == want
			d.given.Store(want, just)
		}
		if just.(bool) {
			return nil
		}
	}
	return d.do("chmod", name, set)
}

// owned reports whether what is made is given to somebody.
func (d *disk) owned() bool { return d.uid >= 0 || d.gid >= 0 }

func (d *disk) own(name string) error {
	if !d.owned() {
		return nil
	}
	return d.root.Chown(name, d.uid, d.gid)
}

// rename puts old in the place of name at once.
func (d *disk) rename(old, name string) error {
	err := d.do("rename", name, func() error { return d.move(old, name) })
	if errors.Is(err, syscall.EXDEV) {
		return invalid("mount the folder above it, so that "+d.work+" is on the same file system", err, "%s is on another file system than %s", name, d.work)
	}
	if err == nil {
		d.sync(path.Dir(name))
	}
	return err
}

// point makes name a symbolic link to to, in one step. Where something has the
// name already, the link is made beside it and moved.
func (d *disk) point(to, name string, replaces bool) error {
	if !replaces {
		err := d.do("symlink", name, func() error { return d.symlink(to, name) })
		if err == nil {
			d.sync(path.Dir(name))
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	temp := d.making("link")
	if err := d.anew("symlink", temp, func() error { return d.symlink(to, temp) }); err != nil {
		return err
	}
	return d.rename(temp, name)
}

// clear removes name and what is in it; nothing there is well.
func (d *disk) clear(name string) error {
	return d.do("remove", name, func() error { return d.root.RemoveAll(name) })
}

// remove removes name for good.
func (d *disk) remove(name string) error {
	err := d.clear(name)
	if err == nil {
		d.sync(path.Dir(name))
	}
	return err
}

// tend gives a file the owner and mode that are wanted now.
func (d *disk) tend(name string, mode fs.FileMode) error {
	info, err := d.root.Stat(name)
	if err != nil {
		return err
	}
	st, _ := info.Sys().(*syscall.Stat_t)
	owned := st == nil || ((d.uid < 0 || int(st.Uid) == d.uid) && (d.gid < 0 || int(st.Gid) == d.gid))
	if owned && info.Mode().Perm() == mode {
		return nil
	}
	return d.do("chmod", name, func() error { return errors.Join(d.own(name), d.root.Chmod(name, mode)) })
}
