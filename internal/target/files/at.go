package files

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Folders that many certificates share are held open while they are delivered:
// what happens to an entry of one is then a single operation of the system, where
// a walk from the root opens and closes each folder on the way. No entry is
// followed if it is a link, and names have no slash, so that it all stays below
// the root as it does with os.Root.

// hold opens folders, for as long as the room is open.
func (d *disk) hold(names ...string) error {
	for _, n := range names {
		if d.held[n] != nil {
			continue
		}
		f, err := d.root.OpenFile(n, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		d.held[n] = f
	}
	return nil
}

// release closes the folders that are held.
func (d *disk) release() {
	for _, f := range d.held {
		f.Close()
	}
	clear(d.held)
}

// at finds the held folder in which name is an entry.
func (d *disk) at(name string) (dir int, entry string, held bool) {
	f := d.held[path.Dir(name)]
	if f == nil {
		return 0, "", false
	}
	return int(f.Fd()), path.Base(name), true
}

// patient repeats what a signal interrupted.
func patient(do func() error) error {
	for {
		if err := do(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (d *disk) mkdir(name string, mode fs.FileMode) error {
	if dir, entry, held := d.at(name); held {
		return patient(func() error { return unix.Mkdirat(dir, entry, uint32(mode)) })
	}
	return d.root.Mkdir(name, mode)
}

func (d *disk) move(old, name string) error {
	from, was, one := d.at(old)
	to, entry, two := d.at(name)
	if one && two {
		return patient(func() error { return unix.Renameat(from, was, to, entry) })
	}
	return d.root.Rename(old, name)
}

func (d *disk) symlink(to, name string) error {
	if dir, entry, held := d.at(name); held {
		return patient(func() error { return unix.Symlinkat(to, dir, entry) })
	}
	return d.root.Symlink(to, name)
}

func (d *disk) readlink(name string) (string, error) {
	dir, entry, held := d.at(name)
	if !held {
		return d.root.Readlink(name)
	}
	to := make([]byte, unix.PathMax)
	n := 0
	err := patient(func() (err error) { n, err = unix.Readlinkat(dir, entry, to); return err })
	if err != nil {
		return "", err
	}
	return string(to[:n]), nil
}

// there reports whether something has the name, a link too.
func (d *disk) there(name string) (bool, error) {
	dir, entry, held := d.at(name)
	var err error
	if held {
		err = patient(func() error { return unix.Fstatat(dir, entry, new(unix.Stat_t), unix.AT_SYMLINK_NOFOLLOW) })
	} else {
		_, err = d.root.Lstat(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// open opens a folder that is ours, and no link to one.
func (d *disk) open(name string) (*os.File, error) {
	if dir := d.held[path.Dir(name)]; dir != nil {
		return openIn(dir, path.Base(name))
	}
	return d.root.OpenFile(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// openIn opens a folder in one that is open.
func openIn(dir *os.File, entry string) (*os.File, error) {
	fd := 0
	err := patient(func() (err error) {
		fd, err = unix.Openat(int(dir.Fd()), entry, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), entry), nil
}
