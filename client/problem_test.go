package client

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAProblemIsToldOnce(t *testing.T) {
	for body, want := range map[string]string{
		`{"detail":"body.x: expected a number","errors":[{"location":"body.x","message":"expected a number"}]}`:                            "body.x: expected a number",
		`{"detail":"validation failed","errors":[{"location":"body.x","message":"too long"},{"location":"body.y","message":"too short"}]}`: "validation failed; body.x: too long; body.y: too short",
	} {
		res := &http.Response{Status: "422", Header: http.Header{"Content-Type": {"application/problem+json"}}, Body: io.NopCloser(strings.NewReader(body))}
		if got := problem("https://x", res).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
