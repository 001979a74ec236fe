// SPDX-License-Identifier: Apache-2.0

// Package sdk writes plugins for the MRE Operator in Go.
//
// A plugin is a function of its class, and a call of Run:
//
//	func main() {
//		sdk.Run(sdk.Featurer(func(ctx context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
//			return []sdk.Result{sdk.Point(in.Chunk.Start, map[string]any{"ChunkBegins": true})}, nil
//		}))
//	}
//
// Times are whole microseconds on the Event's timeline. The package needs nothing but the standard library.
package sdk
