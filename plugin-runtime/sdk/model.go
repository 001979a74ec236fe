// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Model is where the model answers that the Profile picked.
type Model struct {
	// Name of an OpenInference model is that by which the server knows it.
	Name string `json:"name"`
	// Protocol is Plain or OpenInference.
	Protocol string `json:"protocol"`
	// Address of an OpenInference model is the server's, without /v2.
	Address string `json:"address"`
}

// Tensor of the Open Inference Protocol. Data is a slice of Datatype's type, flat, row by row.
type Tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
	Data     any    `json:"data"`
}

// Infer runs the model on tensors and gives its outputs by name.
func (m *Model) Infer(ctx context.Context, inputs ...Tensor) (map[string]Tensor, error) {
	if m.Protocol != "OpenInference" {
		return nil, fmt.Errorf("the Model %s is a plain address; only openInference Models can be asked to infer", m.Name)
	}
	resp, err := send(ctx, http.DefaultClient, http.MethodPost,
		strings.TrimRight(m.Address, "/")+"/v2/models/"+url.PathEscape(m.Name)+"/infer", map[string]any{"inputs": inputs})
	if err != nil {
		return nil, fmt.Errorf("the Model %s: %w", m.Name, err)
	}
	defer resp.Body.Close()
	var got struct {
		Outputs []Tensor `json:"outputs"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return nil, fmt.Errorf("the Model %s: %w", m.Name, err)
	}
	out := map[string]Tensor{}
	for _, t := range got.Outputs {
		out[t.Name] = t
	}
	return out, nil
}
