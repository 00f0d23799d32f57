package sftp

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/certfleet/certfleet/internal/target/sftp/sshtest"
)

// standIn answers as certdeploy's client does on the wire: STAT, OPEN, READ,
// WRITE, CLOSE, FSTAT, FSETSTAT, MKDIR and REALPATH alone, "." is "/", and what
// has a path outside of its folder is denied. It notes every request. Faults can
// be switched on.
type standIn struct {
	host
	dir string

	mu       sync.Mutex // guards what follows
	requests []string
	dies     bool // the connection goes when the second file is written to
	full     bool // no file takes anything
	noModes  bool // FSETSTAT is refused, and files are for all to read
	opened   int
}

func certdeployStandIn(t *testing.T, banner string, stuck bool) *standIn {
	t.Helper()
	hostFile, hostKey := sshtest.KeyFile(t, "ed25519")
	login, _ := sshtest.KeyFile(t, "ed25519")
	text, _ := os.ReadFile(hostFile)
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	dir := t.TempDir()
	s := &standIn{dir: dir, host: host{port: l.Addr().(*net.TCPAddr).Port, user: "certdeploy", key: login, hostKey: hostKey, folder: dir}}
	c := &ssh.ServerConfig{ServerVersion: banner, PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	c.AddHostKey(signer)
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(raw, c, stuck)
		}
	}()
	return s
}

func (s *standIn) serve(raw net.Conn, c *ssh.ServerConfig, stuck bool) {
	defer raw.Close()
	conn, channels, requests, err := ssh.NewServerConn(raw, c)
	if err != nil {
		return
	}
	s.note("CONNECT")
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for nc := range channels {
		ch, rq, err := nc.Accept()
		if err != nil {
			return
		}
		for r := range rq {
			ok := r.Type == "subsystem" && string(r.Payload) == "\x00\x00\x00\x04sftp"
			r.Reply(ok, nil)
			if ok {
				break
			}
		}
		go ssh.DiscardRequests(rq)
		if stuck {
			continue // it neither reads nor answers
		}
		x := &certdeployHandlers{s, raw}
		sftp.NewRequestServer(ch, sftp.Handlers{FileGet: x, FilePut: x, FileCmd: x, FileList: x}).Serve()
		ch.Close()
	}
}

func (s *standIn) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	if !strings.HasPrefix(line, "WRITE") || len(s.requests) == 0 || s.requests[len(s.requests)-1] != line {
		s.requests = append(s.requests, strings.ReplaceAll(line, s.dir, "BASE"))
	}
}

type certdeployHandlers struct {
	*standIn
	raw net.Conn
}

func (x *certdeployHandlers) RealPath(string) (string, error) { x.note("REALPATH"); return "/", nil }

func (x *certdeployHandlers) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	x.note("LSTAT %s", r.Filepath)
	return nil, sftp.ErrSSHFxOpUnsupported
}

func (x *certdeployHandlers) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	x.note("%s %s", strings.ToUpper(r.Method), r.Filepath)
	if r.Method != "Stat" {
		return nil, sftp.ErrSSHFxOpUnsupported
	}
	info, err := os.Stat(x.local(r.Filepath))
	if err != nil {
		return nil, err
	}
	return listing{info}, nil
}

func (x *certdeployHandlers) local(p string) string {
	if !strings.HasPrefix(p, x.dir) {
		return filepath.Join(x.dir, p)
	}
	return p
}

type listing []os.FileInfo

func (l listing) ListAt(out []os.FileInfo, off int64) (int, error) {
	if off >= int64(len(l)) {
		return 0, io.EOF
	}
	return copy(out, l[off:]), nil
}

func (x *certdeployHandlers) Filecmd(r *sftp.Request) error {
	x.note("%s %s", strings.ToUpper(r.Method), r.Filepath)
	switch {
	case r.Method == "Mkdir":
		return os.Mkdir(x.local(r.Filepath), 0o755)
	case r.Method == "Setstat" && r.AttrFlags().Permissions && x.noModes, r.Method != "Setstat":
		return sftp.ErrSSHFxOpUnsupported
	}
	return nil // FSETSTAT; pkg/sftp does not tell it from SETSTAT
}

func (x *certdeployHandlers) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	x.note("READ %s", r.Filepath)
	return os.Open(x.local(r.Filepath))
}

func (x *certdeployHandlers) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	x.note("OPEN %s", r.Filepath)
	mode := os.FileMode(0o600)
	if x.noModes {
		mode = 0o644
	}
	f, err := os.OpenFile(x.local(r.Filepath), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	x.mu.Lock()
	x.opened++
	x.mu.Unlock()
	return &faulty{x, f, r.Filepath}, err
}

// faulty is a file that may not take what is written.
type faulty struct {
	x *certdeployHandlers
	*os.File
	name string
}

func (f *faulty) WriteAt(b []byte, off int64) (int, error) {
	f.x.mu.Lock()
	dies, full := f.x.dies && f.x.opened > 1, f.x.full
	f.x.mu.Unlock()
	switch {
	case full:
		return 0, sftp.ErrSSHFxFailure
	case dies:
		f.File.WriteAt(b[:len(b)/2], off)
		f.x.raw.Close()
		return 0, io.ErrClosedPipe
	}
	f.x.note("WRITE %s", f.name)
	return f.File.WriteAt(b, off)
}

func (f *faulty) Close() error {
	f.x.note("CLOSE %s", f.name)
	return f.File.Close()
}
