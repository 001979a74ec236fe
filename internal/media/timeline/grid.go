// SPDX-License-Identifier: Apache-2.0

package timeline

// maxUnitSeconds bounds a unit's nominal length: small units keep the live
// latency low.
const maxUnitSeconds = 6

// UnitGrid is the grid on which units are cut: multiples of T from the origin.
// T is kept as an exact fraction of the chunk, so that every ChunkSeconds an
// edge falls exactly on a chunk's border, even after a day.
type UnitGrid struct {
	OriginTicks int64
	// ChunkSeconds is the length of a chunk, PerChunk the units in it:
	// T = ChunkSeconds / PerChunk.
	ChunkSeconds, PerChunk int64
}

// NewUnitGrid chooses T = chunkSeconds / ceil(chunkSeconds/6), so that T is at
// most 6 s and divides the chunk.
func NewUnitGrid(originTicks, chunkSeconds int64) UnitGrid {
	chunkSeconds = max(chunkSeconds, 1)
	n := (chunkSeconds + maxUnitSeconds - 1) / maxUnitSeconds
	return UnitGrid{OriginTicks: originTicks, ChunkSeconds: chunkSeconds, PerChunk: n}
}

// PeriodMicros is T, rounded to the microsecond.
func (g UnitGrid) PeriodMicros() int64 {
	return MulDiv(g.ChunkSeconds, microsPerSecond, g.PerChunk)
}

// EdgeTicks is the k-th edge on the PTS axis: the first tick at or after k*T.
func (g UnitGrid) EdgeTicks(k int64) int64 {
	return g.OriginTicks - MulDivFloor(-k, g.ChunkSeconds*TickRate, g.PerChunk)
}

// EdgeIndex is the number of the last edge at or before the given ticks: the
// unit interval that the ticks lie in. It is negative before the origin.
func (g UnitGrid) EdgeIndex(ticks int64) int64 {
	return MulDivFloor(ticks-g.OriginTicks, g.PerChunk, g.ChunkSeconds*TickRate)
}

// ChunkOf is the 1-based number of the chunk that a unit starting at
// startMicros belongs to.
func ChunkOf(startMicros, chunkSeconds int64) int64 {
	return MulDivFloor(startMicros, 1, max(chunkSeconds, 1)*microsPerSecond) + 1
}
