package bench

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

// walkList reads a list page by page, as whoever exports the fleet does.
func walkList(b *testing.B, h http.RoundTripper, n int) {
	for _, list := range []string{"certificates", "orders", "versions", "events"} {
		b.Run("pages of 1,000 "+list, func(b *testing.B) {
			var took []time.Duration
			cursor, pages := "", 0
			for b.Loop() {
				began := time.Now()
				cursor = readPage(b, h, "/v1/"+list+"?limit=1000"+cursor)
				took = append(took, time.Since(began))
				if pages++; cursor == "" && pages < n/1000 {
					b.Fatalf("the list of %s ends after %d pages", list, pages)
				}
			}
			reportP99(b, took)
		})
	}
}

// readPage answers what leads to the next page, empty for the last.
func readPage(b *testing.B, h http.RoundTripper, url string) string {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://api"+url, nil)
	if err != nil {
		b.Fatal(err)
	}
	w, err := h.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	var page struct {
		Next string `json:"next"`
	}
	if err != nil || w.StatusCode != http.StatusOK || json.Unmarshal(body, &page) != nil {
		b.Fatalf("%s: %d %.200s: %v", url, w.StatusCode, body, err)
	}
	if page.Next == "" {
		return ""
	}
	return "&cursor=" + page.Next
}
