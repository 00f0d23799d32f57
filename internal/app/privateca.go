package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
)

// settingPrivateCA holds the private CA in the database, its key sealed, so that
// every node has the same one.
const settingPrivateCA = "private_ca"

// privateCALeast is how much of its life a private CA must have left to be taken over.
const privateCALeast = 180 * 24 * time.Hour

// sharedCA is the private CA as it is stored.
type sharedCA struct {
	Certificate []byte `json:"certificate"` // PEM
	Sealed      []byte `json:"sealed"`      // its key, PEM
}

// privateCAAAD binds the sealed key to its place.
func privateCAAAD(certificate []byte) string { return "private_ca:" + string(certificate) }

// sharePrivateCA makes the state folder and the database agree on the private CA:
// what one of them lacks, the other gives. It answers what it did, empty for
// nothing, and where neither has one.
func (a *App) sharePrivateCA(ctx context.Context) (did string, err error) {
	cert, err := readIfThere(StatePath(a.Config, CACertFile))
	if err != nil {
		return "", err
	}
	shared, err := a.sharedCA(ctx)
	switch {
	case err != nil:
		return "", err
	case cert == nil && shared == nil:
		return "", nil
	case cert == nil:
		return "taken from the database", a.takeCA(ctx, shared)
	case shared == nil:
		return "put into the database, sealed", a.giveCA(ctx)
	case !bytes.Equal(bytes.TrimSpace(cert), bytes.TrimSpace(shared.Certificate)):
		return "", &certfleet.Error{Kind: certfleet.Conflict, Msg: "the private CA in " + a.Config.StateDir + " is not the one that the nodes of this database share",
			Advice: fmt.Sprintf("move %s and %s out of the state folder, and run certfleet init: it takes the shared one", CACertFile, CAKeyFile)}
	}
	return "", nil
}

// sameCA reports a private CA here that is not the one of the database.
func (a *App) sameCA(ctx context.Context) error {
	if cert, err := readIfThere(StatePath(a.Config, CACertFile)); err != nil || cert == nil {
		return err // that it is not here is told elsewhere, where it is needed
	}
	if shared, err := a.sharedCA(ctx); err != nil || shared == nil {
		return err // the next start puts it there
	}
	_, err := a.sharePrivateCA(ctx)
	return err
}

func readIfThere(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// sharedCA reads the stored one, nil when there is none or it ends soon.
func (a *App) sharedCA(ctx context.Context) (*sharedCA, error) {
	text, err := a.DB.Setting(ctx, settingPrivateCA)
	if err != nil || text == "" {
		return nil, err
	}
	var s sharedCA
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf("read the private CA of the database: %w", err)
	}
	certs, err := pki.ParseCertificates(s.Certificate)
	if err != nil {
		return nil, fmt.Errorf("read the private CA of the database: %w", err)
	}
	if time.Until(certs[0].NotAfter) < privateCALeast {
		return nil, nil
	}
	return &s, nil
}

// takeCA writes the shared CA into the state folder, the key first: a certificate
// without a key is what an interrupted init never leaves.
func (a *App) takeCA(ctx context.Context, s *sharedCA) error {
	key, err := a.Keys.Open(ctx, s.Sealed, privateCAAAD(s.Certificate))
	if err != nil {
		return err
	}
	defer key.Wipe()
	return writeCA(a.Config, s.Certificate, key)
}

// giveCA seals the CA of the state folder into the database.
func (a *App) giveCA(ctx context.Context) error {
	ca, err := LoadCA(a.Config)
	if err != nil {
		return err
	}
	cert, key, err := ca.PEM()
	if err != nil {
		return err
	}
	defer key.Wipe()
	s := sharedCA{Certificate: cert}
	if s.Sealed, err = a.Keys.Seal(ctx, key, privateCAAAD(cert)); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.SetSetting(ctx, settingPrivateCA, string(text)) })
}
