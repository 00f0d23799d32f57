package app

import (
	"net/http"
	"net/url"
)

// Handler serves the API.
func (a *App) Handler() http.Handler {
	return http.NotFoundHandler()
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
