package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/app"
)

func (p *program) exportCommand() *cobra.Command {
	var r client.ExportRequest
	var out, password string
	var version int64
	var force bool
	cmd := &cobra.Command{
		Use:   "export LABEL",
		Short: "Write a certificate with its private key into a file",
		Long: `Write the version in use, or another one, with its private key into a file of
mode 0600. The token needs the scopes read and key; with --offline on the manager's
own host none is needed. The opening is put on record.

Formats are pem, der, pkcs12, jks and zip; pkcs12 and jks need a password. For the
public chain alone see certfleet versions chain.`,
		Example: `  certfleet export shop.example --out shop.pem
  certfleet export shop.example --format pkcs12 --password file:/etc/certfleet/p12.pass --out shop.p12`,
		Args: args(1, 1, "the label of a certificate"), ValidArgsFunction: p.certificateArg(1),
		RunE: func(cmd *cobra.Command, labels []string) error {
			return p.export(cmd.Context(), labels[0], version, r, target{out, force}, password)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Format, "format", "pem", "pem, der, pkcs12, jks or zip")
	f.StringVarP(&out, "out", "o", "", "the `FILE` to write (default a name after the label, here)")
	f.StringVar(&password, "password", "", "where the password is, file:PATH or env:NAME (default it is asked for)")
	f.Int64Var(&version, "version", 0, "the `ID` of another version than the one in use")
	f.IntVar(&r.Chain, "chain", 0, "the `POSITION` of another chain, see certfleet versions show")
	f.BoolVar(&force, "force", false, "overwrite the file if it is there")
	flagWords(cmd, "format", "pem", "der", "pkcs12", "jks", "zip")
	cmd.MarkFlagFilename("out")
	return cmd
}

// target is where an export goes.
type target struct {
	path  string
	force bool
}

func (p *program) export(ctx context.Context, label string, version int64, r client.ExportRequest, to target, password string) error {
	if err := to.free(); err != nil {
		return err // before a key is opened for nothing
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	cert, err := c.Certificate(ctx, label)
	if err != nil {
		return p.exportDenied(p.similar(ctx, err, label, certificateLabels))
	}
	if version == 0 {
		version = cert.VersionID
	}
	if version == 0 {
		return invalid("see certfleet why "+cert.Label, "%s has no version yet", cert.Label)
	}
	if r.Format == "pkcs12" || r.Format == "jks" {
		secret, err := p.password(ctx, password)
		if err != nil {
			return err
		}
		r.Password = string(secret)
	}
	got, err := c.ExportVersion(ctx, fmt.Sprint(version), r)
	if err != nil {
		return p.exportDenied(err)
	}
	if to.path == "" {
		to.path = filepath.Base(got.File)
	}
	if err := to.write(got.Data); err != nil {
		return err
	}
	return p.answered(map[string]any{"file": to.path, "certificate": cert.Label, "version_id": version, "format": r.Format}, func() { p.say("version %d of %s is in %s", version, cert.Label, to.path) })
}

// exportDenied names what lets an export pass when a token does not.
func (p *program) exportDenied(err error) error {
	if p.flags.offline || certfleet.KindOf(err) != certfleet.Denied {
		return err
	}
	return &certfleet.Error{Kind: certfleet.Denied, Msg: err.Error(), Advice: "use a token with the scopes read and key, or add --offline on the manager's own host"}
}

func (p *program) password(ctx context.Context, ref string) (certfleet.Secret, error) {
	if ref != "" {
		return app.OpenReference(ref)
	}
	first, err := p.hidden(ctx, "Password for the file:")
	if err != nil {
		return nil, err
	}
	again, err := p.hidden(ctx, "The same again:")
	if err != nil {
		return nil, err
	}
	if string(first) != string(again) {
		return nil, invalid("type the same twice", "the passwords differ")
	}
	return first, nil
}

func (t target) free() error {
	if t.path == "" || t.force {
		return nil
	}
	if _, err := os.Lstat(t.path); err == nil {
		return taken(t.path)
	}
	return nil
}

func taken(path string) error {
	return &certfleet.Error{Kind: certfleet.Conflict, Msg: "there is a file at " + path + " already", Advice: "choose another name, or add --force to overwrite it"}
}

// write makes the file whole before it gets its name, readable by its owner alone.
func (t target) write(b []byte) error {
	if err := t.free(); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(t.path), ".certfleet-*") // mode 0600
	if err != nil {
		return invalid("name a folder that this user may write", "write %s: %s", t.path, err)
	}
	defer os.Remove(f.Name())
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", t.path, err)
	}
	if t.force {
		return os.Rename(f.Name(), t.path)
	}
	if err := os.Link(f.Name(), t.path); errors.Is(err, fs.ErrExist) {
		return taken(t.path)
	} else if err != nil {
		return fmt.Errorf("write %s: %w", t.path, err)
	}
	return nil
}
