// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

const (
	sheetColumns        = 5
	tileWidth, tileHigh = 320, 180
	tileGap             = 6
)

// contactSheet tiles pictures of any size into one.
func contactSheet(ctx context.Context, pictures []string, out string) error {
	var args []string
	var graph, labels string
	for i, picture := range pictures {
		args = append(args, ffmpeg.Input(picture)...)
		graph += fmt.Sprintf("[%d:v]scale=%d:%d:force_original_aspect_ratio=decrease,pad=%d:%d:-1:-1:color=0x202020,"+
			"setsar=1,format=rgb24[p%d];", i, tileWidth, tileHigh, tileWidth, tileHigh, i)
		labels += fmt.Sprintf("[p%d]", i)
	}
	columns := min(sheetColumns, len(pictures))
	rows := (len(pictures) + columns - 1) / columns
	graph += fmt.Sprintf("%sconcat=n=%d,tile=%dx%d:padding=%d:margin=%d:color=0x101010[sheet]",
		labels, len(pictures), columns, rows, tileGap, tileGap)
	args = append(args, "-filter_complex", graph, "-map", "[sheet]", "-frames:v", "1", "-y", out)
	if err := ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Args: args}); err != nil {
		return fmt.Errorf("tile the contact sheet: %w", err)
	}
	return nil
}
