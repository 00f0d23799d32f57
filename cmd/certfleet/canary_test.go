package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// nowhere looks for the secrets in some files among the words of others:
// nowhere SECRETS... in FILES... A secret is any word of 20 letters or more.
func nowhere(ts *testscript.TestScript, neg bool, args []string) {
	in := -1
	for i, a := range args {
		if a == "in" {
			in = i
		}
	}
	if neg || in < 1 || in == len(args)-1 {
		ts.Fatalf("usage: nowhere SECRETS... in FILES...")
	}
	for _, file := range args[:in] {
		found := 0
		for _, secret := range strings.FieldsFunc(ts.ReadFile(file), func(r rune) bool { return strings.ContainsRune(" \t\r\n\"',=", r) }) {
			if len(secret) < 20 {
				continue
			}
			found++
			for _, place := range args[in+1:] {
				if strings.Contains(ts.ReadFile(place), secret) {
					ts.Fatalf("a secret of %s stands in %s", file, place)
				}
			}
		}
		if found == 0 {
			ts.Fatalf("%s holds no secret", file)
		}
	}
}

// fetch appends an answer of the manager, whatever its status, to a file:
// fetch FILE PATH [TOKEN].
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: fetch FILE PATH [TOKEN]")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile(ts.Getenv("STATE") + "/ca.pem")))
	h := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	req, err := http.NewRequest(http.MethodGet, "https://"+ts.Getenv("API")+args[1], nil)
	ts.Check(err)
	if len(args) == 3 {
		req.Header.Set("Authorization", "Bearer "+args[2])
	}
	res, err := h.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer f.Close()
	_, err = io.Copy(f, io.LimitReader(res.Body, 8<<20))
	ts.Check(err)
}
