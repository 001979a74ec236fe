// SPDX-License-Identifier: Apache-2.0

// Command bytes is a plugin in Go that says how large each chunk's file is.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/mre-operator/mre-operator/plugin-runtime/sdk"
)

func main() {
	sdk.Run(sdk.Featurer(func(_ context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
		if in.Media == nil {
			return nil, nil
		}
		info, err := os.Stat(in.Media.Path)
		if err != nil {
			return nil, fmt.Errorf("look at the chunk's file: %w", err)
		}
		return []sdk.Result{{Start: in.Chunk.Start, End: in.Chunk.End, Attributes: map[string]any{"Bytes": info.Size()}}}, nil
	}))
}
