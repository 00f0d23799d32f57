package api

import (
	"fmt"
	"time"

	"github.com/certfleet/certfleet"
)

// OfAgent is the wire form of an agent as it stands at now.
func OfAgent(a *certfleet.Agent, now time.Time) Agent {
	w := Agent{ID: a.ID, Label: a.Label, Target: a.Target, Labels: a.Labels, State: string(a.State(now)), Release: a.Release, CreatedAt: a.CreatedAt, EnrolledAt: a.EnrolledAt,
		SeenAt: a.SeenAt, ReportedAt: a.ReportedAt, RevokedAt: a.RevokedAt, NotAfter: a.NotAfter, SkewMillis: a.Skew.Milliseconds()}
	for _, u := range a.Updaters {
		w.Updaters = append(w.Updaters, UpdaterNote(u))
	}
	w.Problem, w.Advice = agentProblem(a, now)
	return w
}

// agentProblem is what a person should know first.
func agentProblem(a *certfleet.Agent, now time.Time) (problem, advice string) {
	switch a.State(now) {
	case certfleet.AgentLapsed:
		return "it cannot speak with this manager: its invitation or identity has expired", "run certfleet agents invite " + a.Label + " and join again"
	case certfleet.AgentSilent:
		if a.ReportedAt.IsZero() {
			return "it joined and has not reported yet", "start certfleet-agent run on the host"
		}
		return "it has not reported since " + a.ReportedAt.UTC().Format(time.RFC3339), "look whether certfleet-agent runs there and reaches this manager"
	case certfleet.AgentActive:
		return activeProblem(a)
	}
	return "", ""
}

func activeProblem(a *certfleet.Agent) (problem, advice string) {
	for _, u := range a.Updaters {
		if !u.OK {
			return fmt.Sprintf("updater %s: %s", u.Name, u.Problem), u.Advice
		}
	}
	if a.Skew.Abs() > certfleet.MaxSkew {
		return fmt.Sprintf("its clock is off by %s", a.Skew.Round(time.Second)), "set the clock of that host, best by NTP"
	}
	return "", ""
}

// OfAgentLineage is the wire form of what an agent holds.
func OfAgentLineage(l *certfleet.AgentLineage) AgentLineage {
	return AgentLineage{Certificate: l.Certificate, Fingerprint: l.Fingerprint, NotAfter: l.NotAfter, Served: l.Served, Problem: l.Problem, Advice: l.Advice, At: l.At}
}

// OfAssignment is the wire form of what waits for an agent.
func OfAssignment(a *certfleet.Assignment) Assignment {
	return Assignment{Version: a.VersionID, Certificate: a.Certificate, Fingerprint: a.Fingerprint}
}
