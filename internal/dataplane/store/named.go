// SPDX-License-Identifier: Apache-2.0

package store

import "context"

// EventNamed is the namespace and name of an Event that is not deleted.
func (s *Store) EventNamed(ctx context.Context, uid string) (namespace, name string, err error) {
	e, err := findEvent(ctx, s.reader, uid)
	if err != nil {
		return "", "", err
	}
	return e.namespace, e.name, nil
}

// EventOfReplay is the namespace and name of a Replay's Event.
func (s *Store) EventOfReplay(ctx context.Context, uid string) (namespace, name string, err error) {
	r, err := findReplay(ctx, s.reader, uid)
	if err != nil {
		return "", "", err
	}
	return s.EventNamed(ctx, r.eventUID)
}
