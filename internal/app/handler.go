package app

import (
	"context"
	"crypto"
	"net/http"
	"net/url"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/api"
	"github.com/certfleet/certfleet/internal/issue"
	"github.com/certfleet/certfleet/internal/web"
	"github.com/certfleet/certfleet/internal/work"
)

// Handler serves the API.
func (a *App) Handler() http.Handler {
	return web.New(web.Deps{
		DB: a.DB, Keys: a.Keys, Agents: a.Enroll, Acts: a.acts(), Probe: a.probe, Log: a.Log, Body: int64(a.Config.Limits.Body), ReadOnly: a.readOnly, Started: a.started, Edge: a.edgeDeps(),
	})
}

// acts are what the API has done by other rooms. A node that only reads acts on nothing.
func (a *App) acts() web.Acts {
	acts := web.Acts{Running: a.runningJobs, Waiting: a.Work.Waiting, Queued: a.queued, DueByKind: a.dueByKind, TargetTypes: TargetTypes, CheckTarget: a.CheckTarget, CheckSolver: a.checkSolver, Directory: a.directory, Draft: a.Issue.Draft}
	acts.Foretell = a.foretell
	if a.readOnly {
		return acts
	}
	acts.RegisterAccount, acts.UpdateContact, acts.RolloverAccount, acts.DeactivateAccount = a.Issue.Register, a.Issue.UpdateContact, a.Issue.Rollover, a.Issue.Deactivate
	acts.FindAccount = func(ctx context.Context, authority int64, key crypto.Signer) (string, []string, error) {
		got, err := a.Issue.FindAccount(ctx, authority, key)
		return got.URL, got.Contact, err
	}
	acts.CheckAccount = func(ctx context.Context, account int64) (string, string, []string, error) {
		got, err := a.Issue.CheckAccount(ctx, account)
		return got.URL, got.Status, got.Contact, err
	}
	acts.AskARI = func(ctx context.Context, version int64) error { return a.Issue.AskARI(ctx, version, time.Now()) }
	acts.Revoke, acts.ForgetAuthority = a.Issue.Revoke, a.Issue.Forget
	acts.SyncOrder, acts.DeactivateAuthorization = a.Issue.Sync, a.Issue.DeactivateAuthorization
	acts.VersionOf, acts.Adopt = issue.VersionOf, issue.Adopt
	acts.StepOrder = func(ctx context.Context, id int64) error {
		// A new-order that is under way must not be lost because its caller goes away.
		return work.StepOnce(context.WithoutCancel(ctx), a.DB, a.Work.Owner, id, a.Issue.Step)
	}
	acts.Sweep, acts.ACMEDNS = a.Sweep, acmednsActs{a}
	acts.StartRun, acts.TargetRun, acts.Fronted = a.StartRun, a.targetRun, a.fronted
	return acts
}

func (a *App) directory(ctx context.Context, authority int64) (api.Directory, error) {
	d, err := a.Issue.Directory(ctx, authority)
	return api.Directory{
		TermsOfService: d.Meta.TermsOfService, Website: d.Meta.Website, CAAIdentities: d.Meta.CAAIdentities,
		ExternalAccountRequired: d.Meta.ExternalAccountRequired, Profiles: d.Meta.Profiles, RenewalInfo: d.RenewalInfo != "",
	}, err
}

func (a *App) foretell(ctx context.Context, r *certfleet.Replacement) (api.Replacement, error) {
	f, err := a.Issue.Foretell(ctx, r)
	if err != nil {
		return api.Replacement{}, err
	}
	out := api.OfReplacement(r, f.Items)
	out.Takes, out.Limits, out.Late = f.Takes.Round(time.Second).String(), f.Limits, f.Late
	return out, nil
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
