// SPDX-License-Identifier: Apache-2.0

// Package kinds makes the kinds of media that people have: one small source of each, with what is right for it.
package kinds

import (
	"context"
	"fmt"

	"github.com/mre-operator/mre-operator/test/media/film"
)

// Kind is a kind of source.
type Kind struct {
	Name string
	// Copy says that the pictures are to be copied.
	Copy bool
	make func(*shop) Source
}

// Serving is how a source is reached.
type Serving int

// Sources are files, or come over HTTP.
const (
	File Serving = iota
	HTTP
	HTTPWithoutRanges
)

// Source is a made source.
type Source struct {
	Path    string
	Serving Serving
	Truth   film.Truth
	// Focus are times, in microseconds, at which something happens: the first cuts go there.
	Focus []int64
	// Slack is how much the container rounds the times of sound, in microseconds.
	Slack int64
	// CopySlack is further slack of copied sound, where its time stamps are not those of its samples.
	CopySlack int64
	// KeepHDR and Programme are what the Event asks for.
	KeepHDR   bool
	Programme int
	// Refusal, if not empty, is an error that is right too: it must hold this text.
	Refusal string
}

// All kinds, in the order of the list of what must hold.
func All() []Kind {
	var all []Kind
	for _, group := range [][]Kind{rates(), variable(), containers(), joins(), sounds(), shapes(), pictures(), streams()} {
		all = append(all, group...)
	}
	return all
}

// Make makes the source of a seed in a folder of its own.
func (k Kind) Make(ctx context.Context, dir string, seed uint64) (Source, error) {
	s := &shop{ctx: ctx, dir: dir, seed: seed}
	src := k.make(s)
	if s.err != nil {
		return src, fmt.Errorf("make a source of kind %s: %w", k.Name, s.err)
	}
	src.Truth.Seed = seed
	return src, nil
}
