// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"net/http"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/export"
)

// eventExport writes the document as it is. The generated response would make a base64 string of it, because
// its type loses json.RawMessage's methods.
type eventExport []byte

// VisitExportEventResponse implements api.ExportEventResponseObject.
func (e eventExport) VisitExportEventResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := bytes.NewReader(e).WriteTo(w)
	return err
}

// ExportEvent makes the Event's export of what is known now.
func (s *Server) ExportEvent(ctx context.Context,
	r api.ExportEventRequestObject) (api.ExportEventResponseObject, error) {
	data, err := s.store.ExportData(ctx, r.EventUID)
	if err != nil {
		return nil, err
	}
	document, err := export.EventJSON(data)
	return eventExport(document), err
}

// ExportEDL makes the edit decision list of one audio track.
func (s *Server) ExportEDL(ctx context.Context, r api.ExportEDLRequestObject) (api.ExportEDLResponseObject, error) {
	data, err := s.store.ExportData(ctx, r.EventUID)
	if err != nil {
		return nil, err
	}
	track := int32(1)
	if r.Params.Track != nil {
		track = *r.Params.Track
	}
	list, err := export.EDL(data, track)
	return api.ExportEDL200TextResponse(list), err
}
