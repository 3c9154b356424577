// Package fault is how every part of Fengsui says that something went wrong: a kind that the one
// mapper in internal/api turns into an HTTP status, the field that is at fault, and a translation
// key, never a sentence.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is what sort of failure it is, seen by the caller.
type Kind string

// The kinds, with the HTTP status that the API answers for each.
const (
	KindInvalid         Kind = "invalid"         // 422
	KindUnauthenticated Kind = "unauthenticated" // 401
	KindForbidden       Kind = "forbidden"       // 403
	KindNotFound        Kind = "not_found"       // 404
	KindConflict        Kind = "conflict"        // 409
	KindTooMany         Kind = "too_many"        // 429
	KindUnavailable     Kind = "unavailable"     // 503
	KindInternal        Kind = "internal"        // 500
)

// Error is a failure a user can be told about. Key is looked up in the catalog of
// internal/platform/locale; Args fill its placeholders as name, value, name, value.
type Error struct {
	Kind  Kind
	Field string // the offending input, dotted path; empty if none
	Key   string
	Args  []any
	cause error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Kind))
	if e.Field != "" {
		b.WriteString(" " + e.Field)
	}
	b.WriteString(": " + e.Key)
	for i := 0; i+1 < len(e.Args); i += 2 {
		fmt.Fprintf(&b, " %v=%v", e.Args[i], e.Args[i+1])
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap gives the technical cause, for logs only.
func (e *Error) Unwrap() error { return e.cause }

// Because returns a copy of e that carries cause for the log.
func (e *Error) Because(cause error) *Error { c := *e; c.cause = cause; return &c }

// Invalid says that field has a value that cannot be accepted.
func Invalid(field, key string, args ...any) *Error {
	return &Error{Kind: KindInvalid, Field: field, Key: key, Args: args}
}

// NotFound says that what field names does not exist, or that the caller may not know that it does.
func NotFound(field, key string, args ...any) *Error {
	return &Error{Kind: KindNotFound, Field: field, Key: key, Args: args}
}

// Forbidden says that the caller is known and may not do this.
func Forbidden(key string, args ...any) *Error {
	return &Error{Kind: KindForbidden, Key: key, Args: args}
}

// Unauthenticated says that the caller is not known.
func Unauthenticated(key string, args ...any) *Error {
	return &Error{Kind: KindUnauthenticated, Key: key, Args: args}
}

// Conflict says that the state does not allow this now.
func Conflict(field, key string, args ...any) *Error {
	return &Error{Kind: KindConflict, Field: field, Key: key, Args: args}
}

// TooMany says that the caller has to wait. The argument "seconds" says how long.
func TooMany(key string, args ...any) *Error {
	return &Error{Kind: KindTooMany, Key: key, Args: args}
}

// Unavailable says that a part needed for this is not there now; trying again later may help.
func Unavailable(key string, args ...any) *Error {
	return &Error{Kind: KindUnavailable, Key: key, Args: args}
}

// KindOf is the kind of err; an error that is not a fault is internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// Is reports whether err is a fault with this translation key.
func Is(err error, key string) bool {
	var e *Error
	return errors.As(err, &e) && e.Key == key
}
