package certfleet

import (
	"errors"
	"time"
)

// Kind says how an error is handled, not where it came from.
type Kind uint8

// The kinds of error. Internal is the zero value: an error nobody explained.
const (
	Internal    Kind = iota
	Invalid          // the input cannot be used as it is
	NotFound         // the thing named does not exist
	Conflict         // it exists already, or changed meanwhile
	Denied           // not allowed with this identity
	Limited          // a limit says later
	Unreachable      // the other side does not answer
)

var kindNames = [...]string{"internal", "invalid", "not_found", "conflict", "denied", "limited", "unreachable"}

// String is the kind's name in JSON and metrics.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// Error is a failure that an operator can act on.
type Error struct {
	Kind   Kind
	Msg    string    // what happened; safe to show to whoever asked
	Advice string    // what to do about it: one imperative sentence
	Retry  time.Time // when trying again makes sense; zero means not by itself
	Err    error     // the cause, for the log
}

// Error joins the message and its cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Msg
	}
	return e.Msg + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of the first Error in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// AdviceOf is the first advice in err's chain, or empty.
func AdviceOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Advice != "" {
			return e.Advice
		}
		err = e.Err
	}
	return ""
}

// RetryOf is when the first Error in err's chain says to try again.
func RetryOf(err error) time.Time {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Retry
	}
	return time.Time{}
}
