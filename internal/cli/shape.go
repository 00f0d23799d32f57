package cli

import (
	"fmt"

	"github.com/certfleet/certfleet"
	"github.com/certfleet/certfleet/client"
)

// shape is an event as the API would tell it.
func shape(e certfleet.Event) client.Event {
	return client.Event{
		ID: e.ID, Cursor: fmt.Sprintf("%d-%d", e.Xact, e.ID), At: e.At.UTC(), Kind: e.Kind, CertificateID: e.CertificateID, OrderID: e.OrderID,
		VersionID: e.VersionID, TargetID: e.TargetID, Actor: e.Actor, Msg: e.Msg, Data: e.Data,
	}
}
