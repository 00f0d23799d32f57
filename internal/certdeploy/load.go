package certdeploy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
)

// errGone is that a lineage was deleted since it was queued.
var errGone = errors.New("the lineage is gone")

// maxPEM bounds one file of a lineage, in bytes.
const maxPEM = 1 << 20

// loadLineage reads what certbot has in a lineage now.
func loadLineage(dir string) (certfleet.Bundle, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return certfleet.Bundle{}, errGone
	}
	label, err := certfleet.LabelOf(filepath.Base(dir))
	if err != nil {
		return certfleet.Bundle{}, err
	}
	b := certfleet.Bundle{Certificate: label, Path: dir}
	if b.ChainPEM, err = readPEM(filepath.Join(dir, "fullchain.pem")); err != nil {
		return b, err
	}
	if b.KeyPEM, err = readPEM(filepath.Join(dir, "privkey.pem")); err != nil {
		return b, err
	}
	chain, _, err := pki.ParsePair(b.ChainPEM, b.KeyPEM)
	if err != nil {
		return b, fmt.Errorf("lineage %s: %w", dir, err)
	}
	b.Names, b.Fingerprint, b.NotAfter = pki.NamesOf(chain[0]), pki.Fingerprint(chain[0]), chain[0].NotAfter
	b.Version = chain[0].NotBefore.Unix() // a renewal begins later
	return b, nil
}

func readPEM(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxPEM {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", file, maxPEM)
	}
	return io.ReadAll(io.LimitReader(f, maxPEM))
}
