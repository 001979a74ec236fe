// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
)

// What can be wrong with a call. Errors of the store wrap one of these and
// carry a message for the user; anything else is the database's own failure.
var (
	ErrNotFound  = errors.New("not found")
	ErrConflict  = errors.New("conflict")
	ErrGone      = errors.New("gone")
	ErrLeaseLost = errors.New("lease lost")
	ErrInvalid   = errors.New("invalid")
	// ErrUnavailable says that the same call may succeed later. When the
	// database could not be asked, it is not known whether a verb that was under
	// way has happened; verbs may be repeated.
	ErrUnavailable = errors.New("not available now; try again")
)

// Error is a refusal: one of the sentinels, and what to tell the user.
type Error struct {
	Kind    error
	Message string
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Kind }

// maxMessage bounds a message in bytes. It may repeat what a plugin sent.
const maxMessage = 2048

func refuse(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Message: short(fmt.Sprintf(format, args...), maxMessage)}
}

func invalid(format string, args ...any) error  { return refuse(ErrInvalid, format, args...) }
func conflict(format string, args ...any) error { return refuse(ErrConflict, format, args...) }
func notFound(format string, args ...any) error { return refuse(ErrNotFound, format, args...) }
