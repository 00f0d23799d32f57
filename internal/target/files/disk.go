package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// disk is every change that is made to the file system, confined to one root.
// Each operation asks the hook first, by which a test dies there.
type disk struct {
	root     *os.Root
	uid, gid int
	dirs     fs.FileMode
	work     string // the folder where everything lies that is in the making
	hook     func(op string) error
	lazy     *lazy
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
	temp := path.Join(d.work, "folder")
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
	if err := d.anew("mkdir", name, func() error { return d.root.Mkdir(name, dirMode) }); err != nil {
		return err
	}
	return d.do("chmod", name, func() error { return errors.Join(d.own(name), d.root.Chmod(name, d.dirs)) })
}

func (d *disk) own(name string) error {
	if d.uid < 0 && d.gid < 0 {
		return nil
	}
	return d.root.Chown(name, d.uid, d.gid)
}

// in is the disk below one of its folders, which saves a walk there for each file;
// done lets go of it.
func (d *disk) in(dir string) (below *disk, done func() error, err error) {
	root, err := d.root.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	below = new(*d)
	below.root = root
	return below, root.Close, nil
}

// write makes a new file that is on disk, owned and moded when it returns. Until
// then it is readable by its maker alone.
func (d *disk) write(name string, data []byte, mode fs.FileMode) error {
	var f *os.File
	err := d.do("create", name, func() (err error) {
		f, err = d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, keyMode)
		return err
	})
	if err != nil {
		return err
	}
	defer f.Close()
	if err := d.do("write", name, func() error { _, err := f.Write(data); return err }); err != nil {
		return err
	}
	err = d.do("chmod", name, func() error { return errors.Join(d.own(name), f.Chmod(mode)) })
	if err != nil {
		return err
	}
	if d.lazy.on {
		return nil
	}
	return d.do("fsync", name, f.Sync)
}

// rename puts old in the place of name at once and makes that last.
func (d *disk) rename(old, name string) error {
	err := d.do("rename", name, func() error { return d.root.Rename(old, name) })
	if errors.Is(err, syscall.EXDEV) {
		return invalid("mount the folder above it, so that "+d.work+" is on the same file system", err, "%s is on another file system than %s", name, d.work)
	}
	if err != nil {
		return err
	}
	return d.sync(path.Dir(name))
}

// sync makes the entries of a folder last.
func (d *disk) sync(name string) error {
	if d.lazy.on {
		return nil
	}
	return d.do("fsync", name, func() error {
		f, err := d.root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}

// point makes name a symbolic link to to, in one step, by way of temp.
func (d *disk) point(to, name, temp string) error {
	if err := d.anew("symlink", temp, func() error { return d.root.Symlink(to, temp) }); err != nil {
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
	if err := d.clear(name); err != nil {
		return err
	}
	return d.sync(path.Dir(name))
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
