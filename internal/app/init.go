package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/intake"
	"github.com/certfleet/certfleet/internal/keeper/file"
	"github.com/certfleet/certfleet/internal/pki"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/web"
)

// Setup is what Init is told.
type Setup struct {
	Path    string // of the configuration file
	Choices config.Choices
	// Agree says that the terms of the authority are agreed to.
	Agree bool
	// Authority is the label of the CA to begin with. With a directory URL it is
	// made, else it is one that is known.
	Authority, Directory string
	Trust                []byte // PEM, for a CA with a root of its own
	EABKeyID             string
	EABHMAC              certfleet.Secret
}

// Made is one thing that Init made, or found there already.
type Made struct {
	What  string `json:"what"`
	Where string `json:"where"`
	Kept  bool   `json:"kept,omitempty"`
}

// Init makes a manager of this host: configuration, state folder, sealing key,
// private CA, database, authorities, the default policy, an account, and the
// first admin token, which it answers. It overwrites nothing, so it may be run
// again when it was interrupted; the token is then empty if there is one already.
//
// A database that is in use wants the sealing key it was begun with: without it,
// or with another, nothing is made or written. Its nodes share one private CA,
// which a further node finds in the database.
func Init(ctx context.Context, s Setup, made func(Made)) (token certfleet.Secret, err error) {
	planned, err := plannedConfig(s)
	if err != nil {
		return nil, err
	}
	if err := foreignDatabase(ctx, planned); err != nil {
		return nil, err
	}
	c, err := initConfig(s, made)
	if err != nil {
		return nil, err
	}
	if err := initFolder(c.StateDir, made); err != nil {
		return nil, err
	}
	if err := initKey(c, made); err != nil {
		return nil, err
	}
	_, absent := os.Stat(string(databaseFile(c))) // a server has no file, and is told as made
	a, err := New(ctx, c, Options{})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if err := a.Keys.Check(ctx); err != nil {
		return nil, err
	}
	made(Made{What: "database", Where: config.Database(a.where()).String(), Kept: absent == nil})
	ctx = store.WithActor(ctx, "user:init")
	if err := a.initCA(ctx, made); err != nil {
		return nil, err
	}
	return a.initRows(ctx, s, made)
}

// databaseFile is the database where it is a file, else nothing.
func databaseFile(c *config.Config) config.Database {
	d, err := c.ResolveDatabase()
	if err != nil || d.Postgres() {
		return ""
	}
	return d
}

func (a *App) where() string {
	d, _ := a.Config.ResolveDatabase() // New has resolved it before
	return string(d)
}

// plannedConfig is the configuration that is there, or would be written.
func plannedConfig(s Setup) (*config.Config, error) {
	if _, err := os.Stat(s.Path); err == nil {
		return config.Load(s.Path)
	}
	return config.Parse(config.Write(s.Choices), s.Path)
}

func initConfig(s Setup, made func(Made)) (*config.Config, error) {
	if _, err := os.Stat(s.Path); err == nil {
		made(Made{"configuration", s.Path, true})
		return config.Load(s.Path)
	}
	text := config.Write(s.Choices) // it was parsed before anything was made
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o755); err != nil {
		return nil, cannotMake("the folder of "+s.Path, err)
	}
	if err := writeNew(s.Path, text, configMode(text)); err != nil {
		return nil, cannotMake(s.Path, err)
	}
	made(Made{"configuration", s.Path, false})
	return config.Load(s.Path)
}

// configMode lets others read a configuration, unless the address of its
// database holds a password.
func configMode(text []byte) os.FileMode {
	c, err := config.Parse(text, "")
	if err != nil || c.Database.String() != string(c.Database) {
		return 0o600
	}
	return 0o644
}

func cannotMake(what string, err error) error {
	return &certfleet.Error{Kind: certfleet.Denied, Msg: "make " + what, Advice: "run certfleet init as a user that may write there, or name other places with --config and --state-dir", Err: err}
}

// writeNew writes a file that must not be there, and syncs it.
func writeNew(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func initFolder(dir string, made func(Made)) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		made(Made{"state folder", dir, true})
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cannotMake("the state folder "+dir, err)
	}
	made(Made{"state folder", dir, false})
	return nil
}

// initKey makes the sealing key; Init has seen before that nothing waits for another.
func initKey(c *config.Config, made func(Made)) error {
	_, err := OpenKeeper(c)
	scheme, path := c.KeyReference().Split()
	if err == nil {
		made(Made{"sealing key", string(c.KeyReference()), true})
		return nil
	}
	if scheme != "file" || certfleet.KindOf(err) != certfleet.NotFound {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return cannotMake("the folder of the sealing key", err)
	}
	key, err := file.Create(path)
	if err != nil {
		return err
	}
	made(Made{"sealing key", fmt.Sprintf("%s (id %s)", path, key.ID()), false})
	return nil
}

// initCA takes the private CA of the nodes that share the database, or makes one
// for them.
func (a *App) initCA(ctx context.Context, made func(Made)) error {
	certPath, keyPath := StatePath(a.Config, CACertFile), StatePath(a.Config, CAKeyFile)
	_, certErr := os.Stat(certPath)
	_, keyErr := os.Stat(keyPath)
	if certErr == nil && keyErr != nil {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: "the private CA has lost its key " + keyPath, Advice: "bring the file back, or remove " + certPath + " to have it taken from the database, or made anew"}
	}
	did, err := a.sharePrivateCA(ctx)
	if err != nil {
		return err
	}
	if _, err := os.Stat(certPath); err == nil {
		made(Made{"private CA", strings.TrimSuffix(certPath+", "+did, ", "), certErr == nil})
		return nil
	}
	host, _ := os.Hostname()
	ca, err := pki.NewCA("certfleet private CA of "+host, time.Now())
	if err != nil {
		return err
	}
	cert, key, err := ca.PEM()
	if err != nil {
		return err
	}
	defer key.Wipe()
	if err := writeCA(a.Config, cert, key); err != nil {
		return err
	}
	made(Made{"private CA", certPath, false})
	return a.giveCA(ctx)
}

// writeCA writes the files of the private CA, the key first, so that the
// certificate is there only with it.
func writeCA(c *config.Config, cert []byte, key certfleet.Secret) error {
	certPath, keyPath := StatePath(c, CACertFile), StatePath(c, CAKeyFile)
	os.Remove(keyPath) // of an init that was interrupted between the two
	if err := errors.Join(writeNew(keyPath, key, 0o600), writeNew(certPath, cert, 0o644)); err != nil {
		return cannotMake("the private CA", err)
	}
	return nil
}

// FirstAuthority is the label of the authority that the first account is at,
// empty when there is no account, or no database to look into.
func FirstAuthority(ctx context.Context, c *config.Config) (string, error) {
	file := databaseFile(c)
	if _, err := os.Stat(string(file)); file != "" && errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	where, err := c.ResolveDatabase()
	if err != nil {
		return "", err
	}
	db, err := store.Open(ctx, string(where), store.Options{})
	if err != nil {
		return "", err
	}
	defer db.Close()
	accounts, err := db.Accounts(ctx, certfleet.DefaultTenant)
	if err != nil || len(accounts) == 0 {
		return "", err
	}
	ca, err := db.Authority(ctx, accounts[0].AuthorityID)
	if err != nil {
		return "", err
	}
	return ca.Label, nil
}

// initRows fills the database with what a fleet begins with.
func (a *App) initRows(ctx context.Context, s Setup, made func(Made)) (certfleet.Secret, error) {
	if err := a.initAuthorities(ctx, s, made); err != nil {
		return nil, err
	}
	if err := a.initAccount(ctx, s, made); err != nil {
		return nil, err
	}
	if err := a.initPolicy(ctx, s.Authority, made); err != nil {
		return nil, err
	}
	return a.initToken(ctx, made)
}

func (a *App) initAuthorities(ctx context.Context, s Setup, made func(Made)) error {
	list := Authorities()
	if s.Directory != "" {
		list = append(list, certfleet.Authority{Label: s.Authority, DirectoryURL: s.Directory, TrustPEM: string(s.Trust), EAB: s.EABKeyID != ""})
	}
	added := 0
	for _, x := range list {
		_, err := a.DB.AuthorityByLabel(ctx, certfleet.DefaultTenant, x.Label)
		if certfleet.KindOf(err) == certfleet.NotFound {
			err = a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.AddAuthority(ctx, &x) })
			added++
		}
		if err != nil {
			return fmt.Errorf("add authority %s: %w", x.Label, err)
		}
	}
	made(Made{"authorities", fmt.Sprintf("%d known", len(list)), added == 0})
	return nil
}

func (a *App) initAccount(ctx context.Context, s Setup, made func(Made)) error {
	if s.Authority == "" {
		return nil
	}
	ca, err := a.DB.AuthorityByLabel(ctx, certfleet.DefaultTenant, s.Authority)
	if err != nil {
		return err
	}
	if have, err := a.DB.AccountAt(ctx, certfleet.DefaultTenant, ca.ID); err == nil {
		made(Made{"account", have.Label, true})
		return nil
	}
	if ca.EAB && s.EABKeyID == "" {
		return &certfleet.Error{Kind: certfleet.Invalid, Msg: fmt.Sprintf("%s wants an external account binding", ca.Label),
			Advice: "get a key id and an HMAC key from the CA's website, and give them with --eab-kid and --eab-hmac"}
	}
	contact, err := intake.CheckContact(s.Choices.Contact)
	if err != nil {
		return err
	}
	acct := &certfleet.Account{Tenant: certfleet.DefaultTenant, AuthorityID: ca.ID, Label: ca.Label, Contact: contact, AgreedAt: time.Now(), EABKeyID: s.EABKeyID}
	if s.EABKeyID != "" {
		hmac, err := intake.ParseHMAC(strings.TrimSpace(string(s.EABHMAC)))
		if err != nil {
			return err
		}
		defer hmac.Wipe()
		if acct.EABSealed, err = a.Keys.SealEAB(ctx, acct, hmac); err != nil {
			return err
		}
	}
	if err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.AddAccount(ctx, acct) }); err != nil {
		return err
	}
	made(Made{"account", acct.Label + ", registered by its first order", false})
	return nil
}

func (a *App) initPolicy(ctx context.Context, authority string, made func(Made)) error {
	const label = "default"
	if _, err := a.DB.PolicyByLabel(ctx, certfleet.DefaultTenant, label); certfleet.KindOf(err) != certfleet.NotFound {
		made(Made{"policy", label, true})
		return err
	}
	p := &certfleet.Policy{Label: label, Spec: certfleet.PolicySpec{Authorities: []string{authority}}}
	if err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.AddPolicy(ctx, p) }); err != nil {
		return err
	}
	made(Made{"policy", label + ", from " + authority, false})
	return nil
}

// initToken makes the first admin token, unless one is in use. It opens no keys; a
// token that may is made with it where one is needed.
func (a *App) initToken(ctx context.Context, made func(Made)) (certfleet.Secret, error) {
	all, err := a.DB.Tokens(ctx, certfleet.DefaultTenant)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if t.RevokedAt.IsZero() && t.Allows(certfleet.ScopeAdmin) {
			made(Made{"admin token", t.Label, true})
			return nil, nil
		}
	}
	secret, hash := web.NewToken()
	t := &certfleet.Token{Label: fmt.Sprintf("admin%s", nth(len(all))), Hash: hash, Scopes: []certfleet.Scope{certfleet.ScopeAdmin}}
	if err := a.DB.Tx(ctx, time.Now(), func(tx *store.Tx) error { return tx.AddToken(ctx, t) }); err != nil {
		return nil, err
	}
	made(Made{"admin token", t.Label, false})
	return certfleet.Secret(secret), nil
}

func nth(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n + 1)
}
