// SPDX-License-Identifier: Apache-2.0

// Command detect-brightness is a plugin to copy: it finds black pictures and sudden changes of brightness.
//
// It answers the same for the same chunk: a run may be repeated, and chunks may run side by side, so nothing is kept
// from one to the next.
package main

import (
	"context"
	"math"

	"github.com/mre-operator/mre-operator/plugin-runtime/sdk"
)

// width of the pictures: the mean of a small one says as much as that of a large one.
const width = 96

type configuration struct {
	// BlackBelow is the brightness in percent under which a picture is black.
	BlackBelow float64 `json:"blackBelow"`
	// JumpAbove is the change in percent that counts.
	JumpAbove float64 `json:"jumpAbove"`
}

func main() { sdk.Run(sdk.Featurer(detect)) }

func detect(ctx context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
	c := configuration{BlackBelow: 8, JumpAbove: 20}
	if err := in.Configure(&c); err != nil {
		return nil, err
	}
	var found []sdk.Result
	var black *sdk.Result
	before, first := 0.0, true
	for frame, err := range in.Frames(ctx, width, sdk.Gray) {
		if err != nil {
			return nil, err
		}
		now := brightness(frame.Pixels)
		if change := now - before; !first && math.Abs(change) >= c.JumpAbove {
			found = append(found, sdk.Point(frame.Start,
				map[string]any{"BrightnessJump": true, "change": math.Round(change*100) / 100}))
		}
		switch {
		case now >= c.BlackBelow && black != nil:
			found, black = append(found, *black), nil
		case now < c.BlackBelow && black == nil:
			black = &sdk.Result{Start: frame.Start, Attributes: map[string]any{"Black": true}}
		}
		if black != nil {
			black.End = frame.End
		}
		before, first = now, false
	}
	if black != nil {
		found = append(found, *black)
	}
	return found, nil
}

// brightness is the mean in percent.
func brightness(pixels []byte) float64 {
	sum := 0
	for _, p := range pixels {
		sum += int(p)
	}
	return float64(sum) * 100 / 255 / float64(len(pixels))
}
