// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Handler is a plugin's function of one class.
type Handler struct {
	class string
	kinds []string
	work  func(ctx context.Context, raw []byte) (*answer, error)
}

// Featurer detects things in a chunk.
func Featurer(f func(ctx context.Context, in *FeaturerInput) ([]Result, error)) Handler {
	return handler("Featurer", []string{"featurer"}, func(ctx context.Context, in *FeaturerInput) (*answer, error) {
		found, err := f(ctx, in)
		for i := range found {
			found[i].Attributes = copyOf(found[i].Attributes)
			if found[i].End < found[i].Start && err == nil {
				err = fmt.Errorf("result %d ends at %d µs, before its start at %d µs", i, found[i].End, found[i].Start)
			}
		}
		return &answer{Results: found, Variables: in.variables}, err
	})
}

// Segmenter opens and closes segments, chunk after chunk.
func Segmenter(f func(ctx context.Context, in *SegmenterInput, out *Segments) error) Handler {
	return handler("Segmenter", []string{"segmenter", "final"},
		func(ctx context.Context, in *SegmenterInput) (*answer, error) {
			out := segmentsOf(in)
			err := f(ctx, in, out)
			return &answer{Segments: out.wire(), Variables: in.variables}, err
		})
}

// Optimizer moves the marks of segments.
func Optimizer(f func(ctx context.Context, in *OptimizerInput) ([]Optimized, error)) Handler {
	return handler("Optimizer", []string{"optimizer"}, func(ctx context.Context, in *OptimizerInput) (*answer, error) {
		moved, err := f(ctx, in)
		return &answer{Optimized: moved, Variables: in.variables}, err
	})
}

// Labeler names segments.
func Labeler(f func(ctx context.Context, in *LabelerInput) ([]Label, error)) Handler {
	return handler("Labeler", []string{"labeler"}, func(ctx context.Context, in *LabelerInput) (*answer, error) {
		labels, err := f(ctx, in)
		for i := range labels {
			labels[i].Attributes = copyOf(labels[i].Attributes)
		}
		return &answer{Labels: labels, Variables: in.variables}, err
	})
}

func handler[T any](class string, kinds []string, f func(context.Context, *T) (*answer, error)) Handler {
	return Handler{class, kinds, func(ctx context.Context, raw []byte) (*answer, error) {
		in := new(T)
		if err := json.Unmarshal(raw, in); err != nil {
			return nil, fmt.Errorf("read the invocation: %w", err)
		}
		return f(ctx, in)
	}}
}

// invoke runs the handler that the task wants, until its deadline.
func invoke(ctx context.Context, handlers []Handler, event []byte) ([]byte, error) {
	var envelope struct {
		Mre json.RawMessage `json:"Mre"`
	}
	var head Input
	if err := json.Unmarshal(event, &envelope); err != nil {
		return nil, fmt.Errorf("read the invocation: %w", err)
	}
	if len(envelope.Mre) == 0 {
		return nil, errors.New("the invocation has no key Mre: is the operator older than this package?")
	}
	if err := json.Unmarshal(envelope.Mre, &head); err != nil {
		return nil, fmt.Errorf("read the invocation: %w", err)
	}
	if head.Contract != contract {
		return nil, fmt.Errorf("the invocation speaks contract %q, this package %q: use its matching version",
			head.Contract, contract)
	}
	i := slices.IndexFunc(handlers, func(h Handler) bool { return slices.Contains(h.kinds, head.Task.Kind) })
	if i < 0 {
		var have []string
		for _, h := range handlers {
			have = append(have, h.class)
		}
		return nil, fmt.Errorf("the Plugin is run as a %s, but the code is a %s",
			head.Task.Kind, strings.Join(have, " and a "))
	}
	ctx, cancel := context.WithDeadline(ctx, time.UnixMilli(head.DeadlineMillis))
	defer cancel()
	out, err := handlers[i].work(ctx, envelope.Mre)
	if err != nil {
		return nil, err
	}
	out.Contract = contract
	body, err := json.Marshal(map[string]*answer{"Mre": out})
	if err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	return body, nil
}
