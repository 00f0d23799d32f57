package web

import (
	"context"
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
)

func (s *server) backupRoutes() {
	const tag, path = "backups", "/v1/certificates/{id}"
	on(s, "GET", path+"/backup", route{certfleet.ScopeRead, "get-backup", tag, "Say how the backup of a certificate stands", "The second certificate, from another CA, that its policy keeps warm."}, s.getBackup)
	on(s, "POST", path+"/flip", route{certfleet.ScopeDeliver, "flip-certificate", tag, "Serve the backup, or the primary again", "Slots and deliveries change at once; targets follow as they are delivered to."}, s.flip)
	on(s, "POST", "/v1/flips", route{certfleet.ScopeDeliver, "flip-certificates", tag, "Serve the backups of many certificates", "One page of them: repeat with after while next is answered."}, s.flipMany)
}

func (s *server) getBackup(ctx context.Context, in *ByID) (*out[api.BackupState], error) {
	c, err := s.certificate(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	b, err := s.DB.BackupOf(ctx, c.ID)
	if certfleet.KindOf(err) == certfleet.NotFound {
		return nil, &certfleet.Error{Kind: certfleet.NotFound, Msg: "certificate " + c.Label + " has no backup", Advice: "let its policy name a backup authority"}
	}
	if err != nil {
		return nil, err
	}
	return answer(*api.OfBackup(b)), nil
}

func (s *server) flip(ctx context.Context, in *mayAskID[api.Flip]) (*out[api.CertificateAnswer], error) {
	c, err := s.certificate(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	r, err := s.intake(ctx).Flip(ctx, c.ID, in.given().Back)
	if err != nil {
		return nil, err
	}
	return answer(certificateAnswer(r)), nil
}

func (s *server) flipMany(ctx context.Context, in *ask[api.Flips]) (*out[api.Flipped], error) {
	f, err := s.intake(ctx).FlipMany(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	return answer(*f), nil
}

// warming reads the backup; while it is flipped to, its version is the one in use.
func (s *server) warming(ctx context.Context, st *story) error {
	b, err := s.DB.MaybeBackup(ctx, st.cert.ID)
	if err != nil || b == nil {
		return err
	}
	st.w.Backup = api.OfBackup(b)
	if !b.Flipped() {
		return nil
	}
	v, err := s.DB.Version(ctx, b.VersionID)
	if err != nil {
		return err
	}
	have := api.OfVersion(v)
	st.version, st.w.Have = v, &have
	return nil
}

// sayBackup tells of the backup, if there is one.
func (st *story) sayBackup() {
	b := st.w.Backup
	switch {
	case b == nil:
	case b.Flipped:
		st.say("The backup is served in place of the primary since %s, until it is flipped back.", b.FlippedAt.UTC().Format(time.RFC3339))
	case b.VersionID != 0:
		st.say("A backup (version %d) is kept warm; it is valid until %s.", b.VersionID, b.NotAfter.UTC().Format(time.RFC3339))
	case b.Problem != "":
		st.say("There is no backup yet: %s.", b.Problem)
	default:
		st.say("There is no backup yet%s.", when(fmt.Sprintf(": it is due %s", b.DueAt.UTC().Format(time.RFC3339)), b.DueAt))
	}
}
