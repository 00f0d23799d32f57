package files

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// write makes a new file, owned and moded when it returns. It lasts after the next
// barrier.
func (d *disk) write(name string, data []byte, mode fs.FileMode) error {
	if dir, _, held := d.at(name); held {
		return d.writeIn(dir, name, data, mode)
	}
	in, err := d.open(path.Dir(name))
	if err != nil {
		return err
	}
	defer in.Close()
	return d.writeIn(int(in.Fd()), name, data, mode)
}

// writeIn is write into an open folder. A file that is to be given away is its
// maker's alone until it is.
func (d *disk) writeIn(dir int, name string, data []byte, mode fs.FileMode) error {
	perm, fd := mode, -1
	if d.owned() {
		perm = keyMode
	}
	err := d.do("create", name, func() error {
		return patient(func() (err error) {
			fd, err = unix.Openat(dir, path.Base(name), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm))
			return err
		})
	})
	if err != nil {
		return err
	}
	if err := d.fill(fd, name, data, mode); err != nil {
		unix.Close(fd)
		return err
	}
	return d.wrote(name, fd)
}

func (d *disk) fill(fd int, name string, data []byte, mode fs.FileMode) error {
	if err := d.do("write", name, func() error { return writeAll(fd, data) }); err != nil {
		return err
	}
	stat := func() (fs.FileMode, error) {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		return fs.FileMode(st.Mode & 0o7777), err
	}
	return d.moded(name, mode, stat, func() error {
		var err error
		if d.owned() {
			err = unix.Fchown(fd, d.uid, d.gid)
		}
		return errors.Join(err, unix.Fchmod(fd, uint32(mode)))
	})
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		data = data[max(n, 0):]
	}
	return nil
}

// nest makes folders in the work folder, one in the other, and answers the
// innermost, open.
func (d *disk) nest(name string, within ...string) (*os.File, error) {
	if err := d.fresh(name); err != nil {
		return nil, err
	}
	in, err := d.open(name)
	for _, w := range within {
		if err != nil {
			return nil, err
		}
		name = path.Join(name, w)
		err = d.below(in, name)
		var next *os.File
		if err == nil {
			next, err = openIn(in, w)
		}
		in.Close()
		in = next
	}
	return in, err
}

// below makes a folder in one that is open.
func (d *disk) below(in *os.File, name string) error {
	dir, entry := int(in.Fd()), path.Base(name)
	if err := d.do("mkdir", name, func() error { return patient(func() error { return unix.Mkdirat(dir, entry, uint32(d.dirs)) }) }); err != nil {
		return err
	}
	stat := func() (fs.FileMode, error) { info, err := d.root.Lstat(name); return modeOf(info), err }
	return d.moded(name, fs.ModeDir|d.dirs, stat, func() error { return errors.Join(d.own(name), d.root.Chmod(name, d.dirs)) })
}
