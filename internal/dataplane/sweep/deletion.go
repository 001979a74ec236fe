// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
)

// step bounds how many objects one call removes, so that a caller never waits long.
const step = 2000

// Retained is the document beside what outlives a deleted Event.
type Retained struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	UID       string   `json:"uid"`
	Policy    string   `json:"policy"`
	Objects   []string `json:"objects"`
}

// PurgeEvent takes the deletion of a tombstoned Event a step further: rows, then objects. Its Jobs must be gone.
func (s *Sweeper) PurgeEvent(ctx context.Context, uid string) (api.DeletionState, error) {
	deletion, err := s.rows.Deletion(ctx, uid)
	if err != nil {
		return api.DeletionState{}, err
	}
	if deletion.Phase == store.PhaseDone {
		return done(), nil
	}
	if deletion.Phase == store.PhaseTombstoned || deletion.Phase == store.PhaseRows {
		if _, err := s.rows.PurgeRows(ctx, uid); err != nil {
			return api.DeletionState{}, err
		}
		// What is kept is in the tombstone from here on.
		if deletion, err = s.rows.Deletion(ctx, uid); err != nil {
			return api.DeletionState{}, err
		}
	}
	if deletion.Prefix != "" {
		if err := s.writeRetained(ctx, deletion); err != nil {
			return api.DeletionState{}, err
		}
		more, err := s.remove(ctx, deletion.Prefix, keepOf(deletion))
		if err != nil {
			return api.DeletionState{}, err
		}
		if more {
			return api.DeletionState{Remaining: "The Event's rows are deleted; objects are left in the bucket."}, nil
		}
	}
	if err := s.rows.FinishDeletion(ctx, uid); err != nil {
		return api.DeletionState{}, err
	}
	return done(), nil
}

// PurgeReplay removes the reels of a Replay whose rows are gone.
func (s *Sweeper) PurgeReplay(ctx context.Context, uid string) (api.DeletionState, error) {
	deletion, err := s.rows.Deletion(ctx, uid)
	if err != nil {
		return api.DeletionState{}, err
	}
	if deletion.Phase == store.PhaseDone {
		return done(), nil
	}
	if deletion.Prefix != "" {
		more, err := s.remove(ctx, deletion.Prefix, keepOf(deletion))
		if err != nil {
			return api.DeletionState{}, err
		}
		if more {
			return api.DeletionState{Remaining: "The Replay's rows are deleted; reels are left in the bucket."}, nil
		}
	}
	if err := s.rows.FinishDeletion(ctx, uid); err != nil {
		return api.DeletionState{}, err
	}
	return done(), nil
}

func done() api.DeletionState { return api.DeletionState{Done: true, Remaining: "nothing"} }

// keepOf is what a deletion leaves: the kept objects and the list of them.
func keepOf(d store.Deletion) map[string]bool {
	keep := make(map[string]bool, len(d.Kept)+1)
	for _, key := range d.Kept {
		keep[key] = true
	}
	if len(d.Kept) > 0 {
		keep[keys.Retained(d.Namespace, d.UID)] = true
	}
	return keep
}

// writeRetained comes before anything is removed, so that the list is there whatever happens next.
func (s *Sweeper) writeRetained(ctx context.Context, d store.Deletion) error {
	if len(d.Kept) == 0 {
		return nil
	}
	list := Retained{Namespace: d.Namespace, Name: d.Name, UID: d.UID, Policy: string(d.Policy)}
	for _, key := range d.Kept {
		list.Objects = append(list.Objects, s.bucket.Location(key))
	}
	document, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("list what is kept of Event %s: %w", d.UID, err)
	}
	return s.bucket.Put(ctx, keys.Retained(d.Namespace, d.UID), "application/json", append(document, '\n'))
}

// remove deletes what is below a prefix and not kept, a step at most. More says that something is left.
func (s *Sweeper) remove(ctx context.Context, prefix string, keep map[string]bool) (more bool, err error) {
	var unwanted []string
	for object, err := range s.bucket.List(ctx, prefix) {
		if err != nil {
			return false, err
		}
		if keep[object.Key] {
			continue
		}
		if len(unwanted) == step {
			more = true
			break
		}
		unwanted = append(unwanted, object.Key)
	}
	return more, s.delete(ctx, unwanted)
}
