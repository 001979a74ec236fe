// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/test/support/frames"
)

// collect reads the rows and downloads reels, exports and thumbnails, as a viewer would.
func (d *demo) collect(ctx context.Context) error {
	if err := d.emptyOut(); err != nil {
		return err
	}
	var thumbnails []string
	for _, r := range d.runs {
		if r.outcome != "" {
			continue
		}
		if err := os.MkdirAll(d.folder(r), 0o755); err != nil {
			return fmt.Errorf("make the folder of the results: %w", err)
		}
		if err := d.readRows(ctx, r); err != nil {
			return err
		}
		if err := errors.Join(d.downloadExports(ctx, r), d.downloadReels(ctx, r)); err != nil {
			return err
		}
		pictures, err := d.downloadThumbnails(ctx, r)
		if err != nil {
			return err
		}
		thumbnails = append(thumbnails, pictures...)
	}
	if len(thumbnails) == 0 {
		return nil
	}
	d.sheet = filepath.Join(d.out, "contact-sheet.png")
	return contactSheet(ctx, thumbnails, d.sheet)
}

// emptyOut removes the results of an earlier run, and nothing else that may be in the folder.
func (d *demo) emptyOut() error {
	for _, name := range []string{"summary.json", "contact-sheet.png", "match", "openboard", "video"} {
		if err := os.RemoveAll(filepath.Join(d.out, name)); err != nil {
			return fmt.Errorf("remove the results of an earlier run: %w", err)
		}
	}
	if err := os.MkdirAll(d.out, 0o755); err != nil {
		return fmt.Errorf("make the folder of the results: %w", err)
	}
	return nil
}

func (d *demo) readRows(ctx context.Context, r *eventRun) (err error) {
	uid := string(r.uid)
	if r.state, err = d.dataPlane.Event(ctx, uid); err != nil {
		return err
	}
	if r.segments, err = d.dataPlane.Segments(ctx, uid); err != nil {
		return err
	}
	if r.clips, err = d.dataPlane.Clips(ctx, uid); err != nil {
		return err
	}
	r.reels, err = d.dataPlane.Replay(ctx, string(r.replayUID))
	return err
}

func (d *demo) downloadExports(ctx context.Context, r *eventRun) error {
	locations := r.state.EdlLocations
	if r.state.ExportLocation != nil {
		locations = append([]string{*r.state.ExportLocation}, locations...)
	}
	for _, location := range locations {
		file := filepath.Join(d.folder(r), path.Base(location))
		if err := d.cluster.Download(ctx, d.dataPlane, string(r.uid), location, file); err != nil {
			return err
		}
		r.exports = append(r.exports, file)
	}
	return nil
}

// downloadReels also decodes every reel: a file that does not play is not a result.
func (d *demo) downloadReels(ctx context.Context, r *eventRun) error {
	for _, reel := range r.reels.Outputs {
		if reel.Location == nil || reel.Proof == nil {
			continue
		}
		file := filepath.Join(d.folder(r), "reel-"+reel.Resolution+".mp4")
		if err := d.cluster.Download(ctx, d.dataPlane, string(r.uid), *reel.Location, file); err != nil {
			return err
		}
		media, err := frames.Decode(ctx, file)
		if err != nil {
			return err
		}
		if int64(len(media.Video)) != reel.Proof.Frames {
			return fmt.Errorf("%s has %d frames, but %d were promised", file, len(media.Video), reel.Proof.Frames)
		}
		r.reelFiles = append(r.reelFiles, reelFile{path: file, digest: media.Digest(), proof: *reel.Proof})
	}
	return nil
}

// downloadThumbnails takes one picture of every segment, the optimized clip's where there is one.
func (d *demo) downloadThumbnails(ctx context.Context, r *eventRun) ([]string, error) {
	best := map[string]string{}
	for _, clip := range r.clips {
		if clip.Thumbnail != nil && (best[clip.SegmentID] == "" || clip.Variant == api.ClipVariantOptimized) {
			best[clip.SegmentID] = *clip.Thumbnail
		}
	}
	var files []string
	for _, segment := range r.segments {
		location, ok := best[segment.ID]
		if !ok {
			continue
		}
		file := filepath.Join(d.folder(r), "segment-"+segment.ID+".jpg")
		if err := d.cluster.Download(ctx, d.dataPlane, string(r.uid), location, file); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}
