// SPDX-License-Identifier: Apache-2.0

// Package render makes reels: several ranges of an Event one after the other,
// cut from the units, so that no picture is encoded twice.
package render

import (
	"context"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/assemble"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// UnitFile is a stored unit on the local disk.
type UnitFile = assemble.UnitFile

// Part is a range of frames of the Event.
type Part = assemble.Part

// Proof is what was counted in the finished file.
type Proof = assemble.Proof

// ReelSpec is a reel to make.
type ReelSpec struct {
	Timeline timeline.Timeline
	Parts    []Part
	// AudioTrack counts from 1; 0 makes a reel without sound.
	AudioTrack int
	// AudioChannels says what becomes of the track's channels.
	AudioChannels assemble.Channels
	// Width and Height: the picture fills them and is cropped around its
	// centre, exactly where no scaling is needed (608x1080 of 1920x1080).
	// 0 keeps the source's size.
	Width, Height int
}

// Reel writes the reel and, unless its path is empty, its thumbnail (the middle
// frame) in one encode. The same spec over the same units gives the same file.
func Reel(ctx context.Context, s ReelSpec, outMP4, outJPG string) (Proof, error) {
	proof, err := assemble.Run(ctx, assemble.Spec{
		Timeline: s.Timeline, Parts: s.Parts, AudioTrack: s.AudioTrack,
		AudioChannels: s.AudioChannels, Width: s.Width, Height: s.Height,
	}, outMP4, outJPG)
	if err != nil {
		return proof, fmt.Errorf("render a reel of %d parts: %w", len(s.Parts), err)
	}
	proof.Reason = "a reel is encoded once, from the stored units" + proof.Lost()
	return proof, nil
}
