package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/certfleet/certfleet/client"
)

// server answers as a certfleet server whose one certificate ends with kind.
func server(t *testing.T, kind string, renewed *[]string) *client.Client {
	t.Helper()
	mux := http.NewServeMux()
	say := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(v) })
	}
	say("/v1/events", client.Page[client.Event]{Items: []client.Event{{Cursor: "0-7"}}})
	say("/v1/certificates", client.Page[client.Certificate]{Items: []client.Certificate{{ID: 3, Label: "shop"}}})
	mux.HandleFunc("POST /v1/certificates/{id}/renew", func(w http.ResponseWriter, r *http.Request) {
		*renewed = append(*renewed, r.PathValue("id"))
		json.NewEncoder(w).Encode(client.CertificateAnswer{})
	})
	mux.HandleFunc("GET /v1/events/stream", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") == "0-7" {
			fmt.Fprintf(w, "id: 0-8\ndata: {\"kind\":%q,\"certificate_id\":3,\"msg\":\"as it is\"}\n\n", kind)
		}
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return client.New(srv.URL, client.Options{})
}

func TestEveryRenewalIsWaitedFor(t *testing.T) {
	var renewed []string
	if err := renewAll(t.Context(), server(t, "version.issued", &renewed), []string{"tenant=acme"}, 10*time.Second); err != nil {
		t.Error(err)
	}
	err := renewAll(t.Context(), server(t, "order.failed", &renewed), nil, 10*time.Second)
	if err == nil || !strings.Contains(err.Error(), "shop: as it is") {
		t.Errorf("a failure: %v", err)
	}
	if len(renewed) != 2 || renewed[0] != "shop" {
		t.Errorf("renewed %v", renewed)
	}
}
