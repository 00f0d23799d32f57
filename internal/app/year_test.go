package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/internal/acme"
	"github.com/certfleet/certfleet/internal/app"
	"github.com/certfleet/certfleet/internal/config"
	"github.com/certfleet/certfleet/internal/keeper"
	"github.com/certfleet/certfleet/internal/pebble"
	"github.com/certfleet/certfleet/internal/store"
	"github.com/certfleet/certfleet/internal/trial"
)

const yearDay = 24 * time.Hour

// lives are the CA's profiles; a sixth of all certificates live 160 hours.
var lives = map[string]time.Duration{"classic": 90 * yearDay, "medium": 45 * yearDay, "short": 160 * time.Hour}

// line is the way to the CA: it counts, loses answers, and is down at times.
type line struct {
	ca       http.RoundTripper
	downTo   time.Time // no answer until then
	sickTo   time.Time // 503 until then
	armed    bool      // the next finalize's answer is lost, and an outage begins
	placed   int
	refused  int
	replaces int
}

const outage = 3 * yearDay

func (l *line) goDown(now time.Time) { l.downTo, l.sickTo = now.Add(outage/2), now.Add(outage) }

// RoundTrip is called by one step at a time or by several; the year's work has one worker.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now()
	switch {
	case now.Before(l.downTo):
		return nil, errors.New("connection refused")
	case now.Before(l.sickTo):
		return &http.Response{StatusCode: 503, Proto: "HTTP/1.1", Header: http.Header{}, Body: io.NopCloser(strings.NewReader("maintenance")), Request: r}, nil
	}
	asked := l.read(r)
	resp, err := l.ca.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if strings.Contains(r.URL.Path, "enewalInfo") || strings.Contains(r.URL.Path, "renewal-info") {
		resp.Header.Set("Retry-After", "86400")
	}
	if r.URL.Path == "/order-plz" {
		l.count(asked, resp.StatusCode)
	}
	if l.armed && strings.HasPrefix(r.URL.Path, "/finalize-order/") && resp.StatusCode == 200 {
		l.armed = false
		l.goDown(now)
		resp.Body.Close()
		return nil, errors.New("connection reset by peer")
	}
	return resp, nil
}

func (l *line) count(asked string, status int) {
	switch {
	case status == 201 && strings.Contains(asked, `"replaces"`):
		l.replaces++
		fallthrough
	case status == 201:
		l.placed++
	case status != 400: // 400 is a nonce that was refused
		l.refused++
	}
}

func (l *line) read(r *http.Request) string {
	if r.Body == nil {
		return ""
	}
	raw, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(raw))
	var jws struct{ Payload string }
	json.Unmarshal(raw, &jws)
	b, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	return string(b)
}

// TestAYearWithoutAnExpiredCertificate lets a node work for a year by the
// bubble's clock, with two outages of three days at the worst moments.
func TestAYearWithoutAnExpiredCertificate(t *testing.T) {
	t.Parallel()
	certs, length := map[string]int{"classic": 1, "short": 1}, 365*yearDay
	switch {
	case trial.Long():
		certs = map[string]int{"classic": 40, "medium": 40, "short": 20}
	case trial.Full():
		certs = map[string]int{"classic": 6, "medium": 3, "short": 1}
	}
	b := pebble.InProcess(pebble.Options{Profiles: lives, NonceReject: 10, AlternateRoots: 1})
	defer b.Close()
	synctest.Test(t, func(t *testing.T) {
		rt, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		y := &year{T: t, line: &line{ca: rt}, began: time.Now(), per: certs}
		y.build(b.DirectoryURL)
		defer y.Close()
		y.live(length)
		y.judge(length)
	})
}

type year struct {
	*testing.T
	*app.App
	line    *line
	began   time.Time
	per     map[string]int
	ticks   int
	outages int
	least   time.Duration // the least that was ever left of a life
}

func (y *year) build(directory string) {
	c := config.Default()
	c.StateDir = memory(y.T)
	c.Work.Workers = 1
	key, err := keeper.Generate()
	if err != nil {
		y.Fatal(err)
	}
	if y.App, err = app.New(y.Context(), c, app.Options{Keeper: key}); err != nil {
		y.Fatal(err)
	}
	y.Issue.Client = func(_ *certfleet.Authority, record func(context.Context, certfleet.Exchange)) (*acme.Client, error) {
		return acme.New(acme.Options{DirectoryURL: directory, HTTP: &http.Client{Transport: y.line}, Record: record}), nil
	}
	y.least = 12 * time.Hour
	err = y.DB.Tx(y.Context(), time.Now(), func(tx *store.Tx) error { return y.fill(tx, directory) })
	if err != nil {
		y.Fatal(err)
	}
}

// memory is a folder in memory where there is one: syncing a year of commits to
// a disk takes as long as all the rest.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "certfleet-year")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (y *year) fill(tx *store.Tx, directory string) error {
	ctx := y.Context()
	a := &certfleet.Authority{Label: "pebble", DirectoryURL: directory}
	if err := tx.AddAuthority(ctx, a); err != nil {
		return err
	}
	if err := tx.AddAccount(ctx, &certfleet.Account{AuthorityID: a.ID, Label: "main", AgreedAt: tx.Now()}); err != nil {
		return err
	}
	for profile, n := range y.per {
		p := &certfleet.Policy{Label: profile, Spec: certfleet.PolicySpec{Authorities: []string{"pebble"}, Profile: profile}}
		if err := tx.AddPolicy(ctx, p); err != nil {
			return err
		}
		for i := range n {
			names, err := certfleet.ParseNames([]string{fmt.Sprintf("%s-%d.example", profile, i), fmt.Sprintf("www.%s-%d.example", profile, i)})
			if err != nil {
				return err
			}
			c := &certfleet.Certificate{Label: names[0].String(), Names: names[:1+i%2], PolicyID: p.ID, DueAt: tx.Now(), Lane: certfleet.LaneNew}
			if err := tx.AddCertificate(ctx, c, "operator"); err != nil {
				return err
			}
		}
	}
	return nil
}

// live ticks from due time to due time.
func (y *year) live(length time.Duration) {
	for end := y.began.Add(length); time.Now().Before(end); y.ticks++ {
		y.breakDown(time.Since(y.began))
		if _, err := y.Work.Tick(y.Context(), time.Now(), 0); err != nil {
			y.Fatal(err)
		}
		y.look()
		next, err := y.DB.NextDue(y.Context())
		if err != nil || next.IsZero() {
			y.Fatalf("nothing is due any more: %v", err)
		}
		time.Sleep(max(time.Until(next), time.Millisecond))
	}
}

// breakDown takes the CA away: once when a six-day certificate is about to be
// renewed, and once in the middle of an order.
func (y *year) breakDown(age time.Duration) {
	switch {
	case y.outages == 0 && age > 100*yearDay && y.shortIsDue():
		y.outages++
		y.line.goDown(time.Now())
	case y.outages == 1 && age > 200*yearDay && y.shortIsDue():
		y.outages++
		y.line.armed = true
	}
}

func (y *year) shortIsDue() bool {
	due, err := y.DB.DueCertificates(y.Context(), time.Now(), 100)
	if err != nil {
		y.Fatal(err)
	}
	for _, c := range due {
		if strings.HasPrefix(c.Label, "short") {
			return true
		}
	}
	return false
}

// look wants no certificate to have expired, and notes how close one came.
func (y *year) look() {
	soon := store.CertificateFilter{ExpiresBefore: time.Now().Add(12 * time.Hour), Limit: 100}
	list, _, err := y.DB.Certificates(y.Context(), soon)
	if err != nil {
		y.Fatal(err)
	}
	for _, c := range list {
		left := time.Until(c.NotAfter)
		if left <= 0 {
			o, _ := y.DB.LastOrder(y.Context(), c.ID)
			y.Fatalf("%s expired on day %d: due %s, %q; last order %+v", c.Label, int(time.Since(y.began)/yearDay), c.DueAt, c.Problem, o)
		}
		y.least = min(y.least, left)
	}
}

// judge wants as many orders as the lifetimes explain, and replaces on each but
// the first; an outage may cost a few, and Pebble does not find every serial.
func (y *year) judge(length time.Duration) {
	low, high, all := 0, 0, 0
	for profile, n := range y.per {
		all += n
		low += n * int(length/lives[profile])
		high += n * (2 + int(2.3*float64(length)/float64(lives[profile])))
	}
	y.Logf("%d ticks, %d orders, %d with replaces, %d refused; least left %s", y.ticks, y.line.placed, y.line.replaces, y.line.refused, y.least)
	if y.line.placed < low || y.line.placed > high {
		y.Errorf("the CA took %d orders, want %d to %d", y.line.placed, low, high)
	}
	if lost := y.line.placed - y.line.replaces - all; lost < 0 || lost > all {
		y.Errorf("%d of %d orders did not say what they replace, though no first ones", lost, y.line.placed)
	}
	if y.outages != 2 || y.line.armed {
		y.Errorf("%d of two outages happened, the last in the middle of an order: %v", y.outages, !y.line.armed)
	}
	live, _, err := y.DB.Orders(y.Context(), store.OrderFilter{State: "live", Limit: 100})
	if err != nil || len(live) > all {
		y.Errorf("%d orders are still open: %v", len(live), err)
	}
	open, _, err := y.DB.Challenges(y.Context(), store.AuthorizationFilter{Status: "pending", Limit: 100})
	if err != nil || len(open) > all {
		y.Errorf("%d challenges were never taken away: %v", len(open), err)
	}
}
