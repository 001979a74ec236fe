// SPDX-License-Identifier: Apache-2.0

package store

import (
	"maps"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// annotate puts attributes that a run has found on segments of earlier runs,
// beside those that are there.
func (e *eventTx) annotate(list []api.SegmentAttributes) error {
	if len(list) > api.MaxAnnotations {
		return invalid("segmentAttributes has %d entries; a run may report %d", len(list), api.MaxAnnotations)
	}
	for i, a := range list {
		found, err := selectSegments(e.ctx, e, `event_uid = $1 AND id = $2`, e.ev.uid, a.SegmentID)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return invalid("segmentAttributes[%d] names segment %q, which the Event does not have", i, a.SegmentID)
		}
		if err := e.mergeAttributes(nth("segmentAttributes", i), found[0], a.Attributes); err != nil {
			return err
		}
	}
	return nil
}

// mergeAttributes adds to a segment's attributes, in its row and in the
// database.
func (e *eventTx) mergeAttributes(field string, s *segmentRow, more map[string]any) error {
	if len(more) == 0 {
		return nil
	}
	attributes := map[string]any{}
	if err := fromJSON(s.attributes, &attributes); err != nil {
		return err
	}
	maps.Copy(attributes, more)
	body, err := attributesJSON(field, attributes)
	if err != nil {
		return err
	}
	s.attributes = body
	_, err = e.exec(`UPDATE segments SET attributes = $3 WHERE event_uid = $1 AND id = $2`, e.ev.uid, s.id, body)
	return err
}
