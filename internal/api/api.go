// Package api holds the shapes of the JSON API under /v1. They only ever grow:
// a field is never renamed, retyped or taken away.
//
// Ids are decimal numbers, times are RFC 3339 in UTC and left out when they are
// never, durations are text such as 36h or 7d. No field holds a secret, except
// those of an Export, of a NewToken's answer, and of what a caller sends.
package api

import "time"

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items" doc:"The objects of this page." nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Give this as cursor for the next page; absent on the last one."`
}

// Paging chooses a page.
type Paging struct {
	Cursor string `query:"cursor" doc:"The next of the page before; empty for the first page."`
	Limit  int    `query:"limit" minimum:"0" maximum:"1000" doc:"How many objects; 0 means 100."`
}

// Labelled narrows a list to objects that carry all of the labels. What belongs
// to a certificate carries the certificate's.
type Labelled struct {
	Label []string `query:"label,explode" doc:"key=value; may be given several times, and all must hold."`
}

// Problem is an error as it is answered, in the form of RFC 9457. It never
// repeats what was sent.
type Problem struct {
	Type       string         `json:"type" doc:"A URI that names the kind of problem." example:"urn:certfleet:problem:invalid"`
	Title      string         `json:"title" doc:"The kind of problem in words."`
	Status     int            `json:"status" doc:"The HTTP status."`
	Detail     string         `json:"detail" doc:"What happened."`
	Advice     string         `json:"advice,omitempty" doc:"What to do about it: one imperative sentence."`
	Kind       string         `json:"kind" enum:"internal,invalid,not_found,conflict,denied,limited,unreachable" doc:"How the error is to be handled."`
	RetryAfter *time.Time     `json:"retry_after,omitempty" doc:"When trying again makes sense."`
	RequestID  string         `json:"request_id,omitempty" doc:"Names this request in the server's log."`
	Errors     []ProblemField `json:"errors,omitempty" doc:"What is wrong with single fields." nullable:"false"`
}

// ProblemField is what is wrong with one field of a request.
type ProblemField struct {
	Location string `json:"location,omitempty" doc:"Where, such as body.names[3]."`
	Message  string `json:"message" doc:"What is wrong there."`
}
