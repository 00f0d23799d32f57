package takeover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
	"github.com/certfleet/certfleet/internal/porter/petersslers"
)

// PeterSSLers says that peter_sslers goes on to renew a certificate.
const PeterSSLers = certfleet.ExternalPeterSSLers

// drawVersions plans the best certificate of each role.
func (d *drawer) drawVersions(ctx context.Context, h *holder, list []petersslers.Certificate) error {
	isBackup := func(c petersslers.Certificate) bool { return c.Role == petersslers.Backup }
	primary, err := d.choose(ctx, Version, slices.DeleteFunc(slices.Clone(list), isBackup), h.names)
	if err != nil {
		return err
	}
	if primary != nil {
		d.drawVersion(h, primary, Version)
	}
	second, err := d.choose(ctx, Backup, slices.DeleteFunc(slices.Clone(list), func(c petersslers.Certificate) bool { return !isBackup(c) }), h.names)
	if err != nil || second == nil {
		return err
	}
	return d.drawBackup(ctx, h, second)
}

// drawVersion plans a version, unless what is here lasts as long.
func (d *drawer) drawVersion(h *holder, c *found, noun string) {
	label, until := h.label, c.leaf.NotAfter
	switch is := h.is; {
	case is != nil && is.VersionID != 0 && !until.After(is.NotAfter):
		d.numberFound(c, false)
		d.put(Item{Noun: noun, ID: c.ID, Label: label, State: There})
		return
	case is != nil && is.State != "paused":
		d.skip(noun, c.ID, label, "its certificate is renewed here", "")
		return
	}
	h.brought = true
	d.numberFound(c, true)
	d.put(Item{Noun: noun, ID: c.ID, Label: label, State: Add, Reason: "valid until " + until.UTC().Format(time.DateOnly), Note: c.note, wave: wave(len(c.leaf.DNSNames)),
		act: func(ctx context.Context) error { return d.bring(ctx, h, c, false) }})
}

// wave lets versions for one name come after those for many.
func wave(names int) int {
	if names > 1 {
		return 0
	}
	return 1
}

func (d *drawer) drawBackup(ctx context.Context, h *holder, c *found) error {
	policy := h.ask.Policy
	if h.is != nil {
		policy = h.is.Policy
	}
	if !strings.Contains(d.policies.texts[policy], `"backup"`) {
		d.skip(Backup, c.ID, h.label, "its policy "+policy+" has no backup", "")
		return nil
	}
	if h.is != nil {
		b, err := d.c.BackupOf(ctx, h.label)
		if err != nil && certfleet.KindOf(err) != certfleet.NotFound {
			return err
		}
		if err == nil && b.VersionID != 0 && !c.leaf.NotAfter.After(b.NotAfter) {
			d.numberFound(c, false)
			d.put(Item{Noun: Backup, ID: c.ID, Label: h.label, State: There})
			return nil
		}
		if h.is.State != "paused" {
			d.skip(Backup, c.ID, h.label, "its certificate is renewed here", "")
			return nil
		}
	}
	d.numberFound(c, true)
	d.put(Item{Noun: Backup, ID: c.ID, Label: h.label, State: Add, Reason: "valid until " + c.leaf.NotAfter.UTC().Format(time.DateOnly), Note: c.note,
		act: func(ctx context.Context) error { return d.bring(ctx, h, c, true) }})
	return nil
}

// bring imports one version.
func (d *drawer) bring(ctx context.Context, h *holder, c *found, backup bool) error {
	pair, err := d.src.Pair(ctx, c.ID)
	if err != nil {
		return err
	}
	defer pair.KeyPEM.Wipe()
	i := client.Import{Label: h.label, ChainPEM: string(pair.ChainPEM), KeyPEM: string(pair.KeyPEM), KeyMadeAt: pair.KeyMade, Force: d.opt.Expired, Backup: backup,
		Policy: h.ask.Policy, Targets: h.ask.Targets, Labels: h.ask.Labels}
	i.Alternates = whole(pair.Others)
	if h.is != nil {
		i.Policy, i.Targets, i.Labels = h.is.Policy, h.is.Targets, h.is.Labels
	}
	if !d.opt.Manage && !backup {
		i.External = PeterSSLers
	}
	got, err := d.c.ImportCertificate(ctx, i)
	if err != nil {
		return err
	}
	if got.Certificate.Label != h.label {
		return fmt.Errorf("certificate %s has this version already", got.Certificate.Label)
	}
	if d.opt.Manage && !backup && h.is == nil {
		_, err = d.c.ResumeCertificate(ctx, h.label)
	}
	return err
}
