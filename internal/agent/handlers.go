package agent

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/sftp"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki/lineage"
)

// maxOpen bounds the uploads that one session has open, and with MaxFile its memory.
const maxOpen = 8

// place is what a path means in staging: the folder itself, a lineage, or a file
// of one.
type place struct{ name, file string }

// where finds the place of a path, which pkg/sftp has made absolute and clean.
// What lies beside staging or deeper than a file, and every name that is not a
// lineage's, is refused.
func (a *Agent) where(p string) (place, error) {
	for _, base := range append([]string{a.c.Staging}, a.c.SFTP.Paths...) {
		base = path.Clean(base)
		if p == base {
			return place{}, nil
		}
		rest, ok := strings.CutPrefix(p, base+"/")
		if !ok {
			continue
		}
		name, file, _ := strings.Cut(rest, "/")
		if _, err := certfleet.LabelOf(name); err != nil || strings.Contains(file, "/") {
			return place{}, sftp.ErrSSHFxPermissionDenied
		}
		return place{name, file}, nil
	}
	return place{}, sftp.ErrSSHFxPermissionDenied
}

// Filewrite begins an upload.
func (x *session) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	p, err := x.a.where(r.Filepath)
	if err != nil || !x.a.takes(p.file) || r.Pflags().Append {
		return nil, sftp.ErrSSHFxPermissionDenied
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	key := p.name + "/" + p.file
	if x.open[key] != nil || len(x.open) >= maxOpen {
		return nil, sftp.ErrSSHFxFailure
	}
	x.touch(p.name)
	u := &upload{session: x, place: p}
	x.open[key] = u
	return u, nil
}

// takes reports whether a lineage may hold a file of this name.
func (a *Agent) takes(file string) bool {
	return lineage.Known(file) || a.staging.all && isPEM(file)
}

// upload collects a file in memory and puts it into staging whole when the client
// closes it. One that breaks off leaves nothing.
type upload struct {
	session *session
	place

	mu   sync.Mutex // guards what follows
	data []byte
	bad  error
}

// WriteAt takes a piece, in any order.
func (u *upload) WriteAt(b []byte, off int64) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	end := off + int64(len(b))
	if off < 0 || end < off || end > u.session.a.staging.max {
		u.bad = syscall.EFBIG
		return 0, sftp.ErrSSHFxFailure
	}
	if grow := end - int64(len(u.data)); grow > 0 {
		u.data = append(u.data, make([]byte, grow)...)
	}
	return copy(u.data[off:], b), nil
}

// TransferError is called before Close when the session ended with the file open.
func (u *upload) TransferError(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bad = err
}

// Close is the client's close of the file.
func (u *upload) Close() error {
	x := u.session
	x.mu.Lock()
	delete(x.open, u.name+"/"+u.file)
	x.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	defer clear(u.data)
	if u.bad != nil {
		return sftp.ErrSSHFxFailure
	}
	if err := x.a.staging.put(u.name, u.file, u.data); err != nil {
		x.a.log.Error("file not staged", "lineage", u.name, "file", u.file, "error", err)
		return wire(err)
	}
	return nil
}

// Fileread answers the status, and nothing else: keys never go out again.
func (x *session) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	p, err := x.a.where(r.Filepath)
	if err != nil || p.file != lineage.Status {
		return nil, sftp.ErrSSHFxPermissionDenied
	}
	b, err := x.a.status(r.Context(), p.name)
	if err != nil {
		return nil, wire(err)
	}
	return bytes.NewReader(b), nil
}

// Filecmd makes lineage folders. Times and modes are taken without a word, since
// clients set them; the rest is refused.
func (x *session) Filecmd(r *sftp.Request) error {
	p, err := x.a.where(r.Filepath)
	if err != nil {
		return err
	}
	switch r.Method {
	case "Setstat":
		return nil
	case "Mkdir":
		if p.name == "" || p.file != "" {
			return sftp.ErrSSHFxPermissionDenied
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.touch(p.name)
		return wire(x.a.staging.root.Mkdir(p.name, 0o700))
	}
	return sftp.ErrSSHFxOpUnsupported
}

// Filelist answers STAT and LSTAT; folders are not listed.
func (x *session) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method != "Stat" {
		return nil, sftp.ErrSSHFxOpUnsupported
	}
	p, err := x.a.where(r.Filepath)
	if err != nil {
		return nil, err
	}
	if size, ok := x.openSize(p); ok {
		return one{entry{p.file, size, 0o600}}, nil
	}
	info, err := x.a.staging.root.Lstat(path.Join(".", p.name, p.file))
	switch {
	case err != nil:
		return nil, wire(err)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, sftp.ErrSSHFxPermissionDenied
	}
	return one{info}, nil
}

func (x *session) openSize(p place) (int64, bool) {
	x.mu.Lock()
	u := x.open[p.name+"/"+p.file]
	x.mu.Unlock()
	if u == nil {
		return 0, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return int64(len(u.data)), true
}

// wire maps an error to an SFTP status; its words stay here.
func wire(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, fs.ErrPermission), certfleet.KindOf(err) == certfleet.Denied:
		return sftp.ErrSSHFxPermissionDenied
	}
	return sftp.ErrSSHFxFailure
}

// one is a listing of one entry.
type one struct{ os.FileInfo }

// ListAt answers the one entry.
func (o one) ListAt(list []os.FileInfo, off int64) (int, error) {
	if off > 0 || len(list) == 0 {
		return 0, io.EOF
	}
	list[0] = o.FileInfo
	return 1, nil
}

// entry is a file that is in memory so far.
type entry struct {
	name string
	size int64
	mode fs.FileMode
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.size }
func (e entry) Mode() fs.FileMode  { return e.mode }
func (e entry) ModTime() time.Time { return time.Now() }
func (e entry) IsDir() bool        { return false }
func (e entry) Sys() any           { return nil }
