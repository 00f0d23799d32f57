package porter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// Lineage is one certificate that certbot manages. What could not be read is
// told in Problems, and its fields stay empty.
type Lineage struct {
	Name          string
	Names         []certfleet.Name
	ChainPEM      []byte
	KeyPEM        certfleet.Secret // PKCS #8
	NotAfter      time.Time
	KeyType       certfleet.KeyType
	ReuseKey      bool
	Challenge     certfleet.ChallengeType // empty when certbot's settings do not tell
	Authenticator string                  // certbot's plugin, such as webroot or dns-route53
	Server        string                  // directory URL
	Account       string                  // certbot's id of the account
	Profile       string                  // the CA's profile that was preferred or required
	Problems      []string
}

// Whole reports whether a certificate with its key was read.
func (l Lineage) Whole() bool { return len(l.ChainPEM) > 0 && len(l.KeyPEM) > 0 }

// maxFile bounds each file that is read, in bytes.
const maxFile = 1 << 20

// ReadCertbot reads every lineage of a certbot folder (/etc/letsencrypt), also
// of a copy of one. A broken lineage is listed with its problems; an error means
// that this is no such folder.
func ReadCertbot(dir string) ([]Lineage, error) {
	names, err := lineageNames(dir)
	if err != nil {
		return nil, err
	}
	lineages := make([]Lineage, len(names))
	for i, n := range names {
		lineages[i] = readLineage(dir, n)
	}
	return lineages, nil
}

func lineageNames(dir string) ([]string, error) {
	renewal, err := os.ReadDir(filepath.Join(dir, "renewal"))
	live, err2 := os.ReadDir(filepath.Join(dir, "live"))
	if err != nil && err2 != nil {
		return nil, invalid("name the folder that holds live and renewal, such as /etc/letsencrypt, and let certfleet read it", errors.Join(err, err2), "%q is not a certbot folder", dir)
	}
	var names []string
	for _, e := range renewal {
		if n, ok := strings.CutSuffix(e.Name(), ".conf"); ok {
			names = append(names, n)
		}
	}
	for _, e := range live {
		if info, err := os.Stat(filepath.Join(dir, "live", e.Name())); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func readLineage(dir, name string) Lineage {
	l := Lineage{Name: name}
	l.readPair(dir)
	conf, err := readBounded(filepath.Join(dir, "renewal", name+".conf"))
	if err != nil {
		l.problem("its renewal settings cannot be read (%s)", reason(err))
	} else {
		l.settings(parseRenewal(conf))
	}
	if slices.ContainsFunc(l.Names, certfleet.Name.IsWildcard) {
		l.Challenge = certfleet.DNS01 // nothing else proves a wildcard
	}
	return l
}

func (l *Lineage) problem(format string, args ...any) {
	l.Problems = append(l.Problems, fmt.Sprintf(format, args...))
}

// readPair takes live, and the newest number of archive where live is broken.
func (l *Lineage) readPair(dir string) {
	live := filepath.Join(dir, "live", l.Name)
	err := l.pair(filepath.Join(live, "fullchain.pem"), filepath.Join(live, "privkey.pem"))
	if err == nil {
		return
	}
	archive := filepath.Join(dir, "archive", l.Name)
	for _, n := range numbers(archive) {
		if l.pair(filepath.Join(archive, "fullchain"+n+".pem"), filepath.Join(archive, "privkey"+n+".pem")) == nil {
			l.problem("live/%s is broken (%s); number %s of its archive was taken", l.Name, reason(err), n)
			return
		}
	}
	l.problem("no certificate with its key can be read (%s)", reason(err))
}

func (l *Lineage) pair(chainFile, keyFile string) error {
	chainPEM, err := readBounded(chainFile)
	if err != nil {
		return err
	}
	keyPEM, err := readBounded(keyFile)
	if err != nil {
		return err
	}
	chain, key, err := pki.ParsePair(chainPEM, keyPEM)
	if err != nil {
		return err
	}
	if l.KeyPEM, err = pki.MarshalKey(key); err != nil {
		return err
	}
	l.ChainPEM, l.Names, l.NotAfter = pki.EncodeChain(chain), pki.NamesOf(chain[0]), chain[0].NotAfter
	if l.KeyType, err = pki.KeyTypeOf(key); err != nil {
		l.problem("%s; a renewal will use another", err)
	}
	return nil
}

// numbers are those of an archive's chains, the highest first.
func numbers(archive string) []string {
	files, _ := filepath.Glob(filepath.Join(archive, "fullchain*.pem"))
	var all []int
	for _, f := range files {
		s := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "fullchain"), ".pem")
		if n, err := strconv.Atoi(s); err == nil {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	slices.Reverse(all)
	out := make([]string, len(all))
	for i, n := range all {
		out[i] = strconv.Itoa(n)
	}
	return out
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return b, err
}

// reason is an error in few words, with the file where there is one.
func reason(err error) string {
	p, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err.Error()
	}
	return filepath.Base(p.Path) + ": " + p.Err.Error()
}
