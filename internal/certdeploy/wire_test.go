package certdeploy

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/certfleet/certfleet/internal/trial"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// original answers as certdeploy's client does: what it does not know is refused,
// REALPATH "." is "/", and nothing but its folder may be named. It notes the types
// of all packets (draft-ietf-secsh-filexfer-02 section 3).
type original struct {
	dir string

	mu    sync.Mutex // guards what follows
	types []byte
	open  int // connections
	most  int // at a time
	total int
}

func startOriginal(t *testing.T) (*original, host) {
	t.Helper()
	key, hostKey := keyFile(t)
	text, _ := os.ReadFile(key)
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	o := &original{dir: t.TempDir()}
	c := &ssh.ServerConfig{ServerVersion: "SSH-2.0-paramiko_4.0.0", PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	c.AddHostKey(signer)
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go o.serve(raw, c)
		}
	}()
	return o, host{l.Addr().(*net.TCPAddr).Port, "certdeploy", hostKey, o.dir}
}

func (o *original) serve(raw net.Conn, c *ssh.ServerConfig) {
	defer raw.Close()
	conn, channels, requests, err := ssh.NewServerConn(raw, c)
	if err != nil {
		return
	}
	o.count(1)
	defer o.count(-1)
	go ssh.DiscardRequests(requests)
	for nc := range channels {
		ch, rq, err := nc.Accept()
		if err != nil {
			return
		}
		for r := range rq {
			r.Reply(r.Type == "subsystem", nil)
			if r.Type == "subsystem" {
				break
			}
		}
		go ssh.DiscardRequests(rq)
		sftp.NewRequestServer(&sniffed{ReadWriteCloser: ch, o: o}, sftp.Handlers{FileGet: o, FilePut: o, FileCmd: o, FileList: o}).Serve()
		ch.Close()
	}
	conn.Wait()
}

func (o *original) count(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open += n
	o.most, o.total = max(o.most, o.open), o.total+max(n, 0)
}

// sniffed notes the type of each packet that is read.
type sniffed struct {
	io.ReadWriteCloser
	o    *original
	left []byte
}

func (s *sniffed) Read(b []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(b)
	s.left = append(s.left, b[:n]...)
	for len(s.left) > 4 {
		size := 4 + int(binary.BigEndian.Uint32(s.left))
		if len(s.left) < size {
			break
		}
		s.o.mu.Lock()
		s.o.types = append(s.o.types, s.left[4])
		s.o.mu.Unlock()
		s.left = s.left[size:]
	}
	return n, err
}

func (o *original) local(p string) (string, error) {
	if p == o.dir || strings.HasPrefix(p, o.dir+"/") {
		return p, nil
	}
	return "", sftp.ErrSSHFxPermissionDenied
}

func (o *original) RealPath(string) (string, error) { return "/", nil }

func (o *original) Lstat(*sftp.Request) (sftp.ListerAt, error) {
	return nil, sftp.ErrSSHFxOpUnsupported
}

func (o *original) Fileread(*sftp.Request) (io.ReaderAt, error) {
	return nil, sftp.ErrSSHFxOpUnsupported
}

func (o *original) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	p, err := o.local(r.Filepath)
	if err != nil {
		return nil, err
	}
	return os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (o *original) Filecmd(r *sftp.Request) error {
	p, err := o.local(r.Filepath)
	switch {
	case err != nil:
		return err
	case r.Method == "Mkdir":
		return os.Mkdir(p, 0o755)
	case r.Method == "Setstat":
		return nil // FSETSTAT; the packets tell it from SETSTAT
	}
	return sftp.ErrSSHFxOpUnsupported
}

func (o *original) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	p, err := o.local(r.Filepath)
	if err != nil || r.Method != "Stat" {
		return nil, sftp.ErrSSHFxOpUnsupported
	}
	info, err := os.Stat(p)
	return listing{info}, err
}

type listing struct{ os.FileInfo }

func (l listing) ListAt(out []os.FileInfo, off int64) (int, error) {
	if off > 0 || len(out) == 0 {
		return 0, io.EOF
	}
	out[0] = l.FileInfo
	return 1, nil
}

// The packets that certdeploy's client knows, and that are sent to it.
const (
	packetInit, packetOpen, packetClose, packetWrite, packetFSetstat, packetMkdir, packetStat = 1, 3, 4, 6, 10, 14, 17
)

func TestOriginalClientGetsOnlyWhatItKnows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	o, h := startOriginal(t)
	s.configure(h.entry("a.example, b.example"))
	want := map[string]map[string][]byte{}
	for _, name := range []string{"a.example", "b.example"} {
		lineage, files := renewed(t, s.live, name)
		want[name] = files
		s.server(hookEnv(lineage, name))
	}
	if out, status := s.server(nil, "--push", "--strict-exit"); status != 0 || out != "" {
		t.Fatalf("%d: %s", status, out)
	}
	for name, files := range want {
		holds(t, filepath.Join(o.dir, name), files, "fullchain.pem", "privkey.pem")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	lineage := []byte{packetStat, packetStat, packetMkdir}
	for range 2 {
		lineage = append(lineage, packetOpen, packetFSetstat, packetWrite, packetClose, packetStat)
	}
	if all := slices.Concat([]byte{packetInit}, lineage, lineage); !slices.Equal(o.types, all) {
		t.Errorf("packets were\n%v\nwant\n%v", o.types, all)
	}
	if o.total != 1 || o.most != 1 {
		t.Errorf("%d connections, %d at a time; want one for both lineages", o.total, o.most)
	}
}

func TestConnectionIsClosedAfterThePush(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	s := newSite(t)
	o, h := startOriginal(t)
	s.configure(h.entry("shop.example"))
	cmd := program(t, "server", nil, "--config", s.file, "--daemon")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for round := 1; round <= 2; round++ {
		lineage, files := renewed(t, s.live, "shop.example")
		s.server(hookEnv(lineage, "shop.example"))
		eventually(t, fmt.Sprintf("push %d is over, and its connection", round), func() bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.total == round && o.open == 0
		})
		holds(t, filepath.Join(o.dir, "shop.example"), files, "fullchain.pem", "privkey.pem")
	}
	if o.most > 1 {
		t.Errorf("%d connections at a time", o.most)
	}
}

func TestPushIntervalLiesBetweenClients(t *testing.T) {
	trial.InFull(t)
	t.Parallel()
	for _, mode := range []string{"serial", "parallel"} {
		s := newSite(t)
		_, a := startOriginal(t)
		_, b := startOriginal(t)
		s.configure(a.entry("shop.example")+b.entry("shop.example"), "push_interval: 1", "push_mode: "+mode)
		lineage, _ := renewed(t, s.live, "shop.example")
		began := time.Now()
		if out, status := s.server(hookEnv(lineage, "shop.example"), "--push", "--strict-exit"); status != 0 {
			t.Fatalf("%d: %s", status, out)
		}
		if took := time.Since(began); took < 2*time.Second || took > trial.Patience/2 {
			t.Errorf("%s: it took %s, want a second after each of two", mode, took)
		}
	}
}
