// SPDX-License-Identifier: Apache-2.0

// Package cut makes clips: exactly the frames of a segment, as an MP4 with a
// thumbnail, and the proof of it.
package cut

import (
	"context"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/assemble"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// UnitFile is a stored unit on the local disk.
type UnitFile = assemble.UnitFile

// Proof is what was counted in the finished file.
type Proof = assemble.Proof

// ClipSpec is a clip to make.
type ClipSpec struct {
	// Units in time order: all that hold a frame of the clip, the one before
	// them if the first frame is in none, and the one that ends shortly before
	// the mark-in, for the sound there.
	Units []UnitFile
	// In and Out (exclusive) come from Timeline.Snap or MarkOf.
	In, Out  timeline.Mark
	Timeline timeline.Timeline
	// AudioTrack counts from 1; 0 makes a clip without sound.
	AudioTrack int
	// AudioChannels says what becomes of the track's channels.
	AudioChannels assemble.Channels
}

// Clip writes the clip and, unless its path is empty, its thumbnail (the middle
// frame). A file whose
// frames or samples are not exactly those asked for is an error, and removed.
func Clip(ctx context.Context, s ClipSpec, outMP4, outJPG string) (Proof, error) {
	proof, err := assemble.Run(ctx, assemble.Spec{
		Timeline:   s.Timeline,
		Parts:      []assemble.Part{{Units: s.Units, In: s.In, Out: s.Out}},
		AudioTrack: s.AudioTrack, AudioChannels: s.AudioChannels,
	}, outMP4, outJPG)
	if err != nil {
		return proof, fmt.Errorf("cut frames [%d,%d): %w", s.In.Frame, s.Out.Frame, err)
	}
	proof.Reason = "every clip is encoded anew: exact on every source, whatever its groups of pictures" + proof.Lost()
	return proof, nil
}
