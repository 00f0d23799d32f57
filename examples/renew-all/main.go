// Command renew-all asks a certfleet server for new versions of all
// certificates that carry a label, and waits until each is issued or has failed.
//
//	CERTFLEET_URL=https://certs.example.com:7443 CERTFLEET_TOKEN=cf_... renew-all tenant=acme
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/certfleet/certfleet/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := client.New(os.Getenv("CERTFLEET_URL"), client.Options{Token: os.Getenv("CERTFLEET_TOKEN")})
	if err := renewAll(ctx, c, os.Args[1:], 30*time.Minute); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// renewAll renews what carries all labels and follows the events until every
// renewal has ended.
func renewAll(ctx context.Context, c *client.Client, labels []string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before, err := cursor(ctx, c)
	if err != nil {
		return err
	}
	waiting, err := ask(ctx, c, labels)
	if err != nil || len(waiting) == 0 {
		return err
	}
	var failed []error
	for e, err := range c.Follow(ctx, client.StreamQuery{After: before}) {
		if err != nil {
			return fmt.Errorf("%d renewals are still on their way: %w", len(waiting), err)
		}
		label, ours := waiting[e.CertificateID]
		if !ours || e.Kind != "version.issued" && e.Kind != "order.failed" {
			continue
		}
		fmt.Printf("%-15s %s: %s\n", e.Kind, label, e.Msg)
		if e.Kind == "order.failed" {
			failed = append(failed, fmt.Errorf("%s: %s", label, e.Msg))
		}
		if delete(waiting, e.CertificateID); len(waiting) == 0 {
			break
		}
	}
	return errors.Join(failed...)
}

// cursor is where the events stand now, so that none of what follows is missed.
func cursor(ctx context.Context, c *client.Client) (string, error) {
	p, err := c.EventsPage(ctx, client.EventQuery{Paging: client.Paging{Limit: 1}})
	if err != nil || len(p.Items) == 0 {
		return "start", err
	}
	return p.Items[0].Cursor, nil
}

// ask renews every active certificate that carries the labels, and answers their
// labels by id.
func ask(ctx context.Context, c *client.Client, labels []string) (map[int64]string, error) {
	waiting := map[int64]string{}
	for cert, err := range c.Certificates(ctx, client.CertificateQuery{State: "active", Labelled: client.Labelled{Label: labels}}) {
		if err != nil {
			return nil, err
		}
		if _, err := c.RenewCertificate(ctx, cert.Label, client.Renewal{}); err != nil {
			return nil, fmt.Errorf("renew %s: %w", cert.Label, err)
		}
		waiting[cert.ID] = cert.Label
	}
	return waiting, nil
}
