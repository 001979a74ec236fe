// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"maps"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// decodeConfiguration turns a free-form configuration into a map. An absent one is empty.
func decodeConfiguration(j *apiextensionsv1.JSON) (map[string]any, error) {
	out := map[string]any{}
	if j == nil || len(j.Raw) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(j.Raw, &out); err != nil {
		return nil, fmt.Errorf("must be an object: %w", err)
	}
	if out == nil {
		out = map[string]any{}
	}
	return out, nil
}

// mergeConfiguration overrides single keys of a Plugin's defaults with a Profile's.
func mergeConfiguration(defaults, override *apiextensionsv1.JSON) (map[string]any, error) {
	out, err := decodeConfiguration(defaults)
	if err != nil {
		return nil, err
	}
	over, err := decodeConfiguration(override)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, over)
	return out, nil
}
