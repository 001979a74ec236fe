// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// media is where the chunk's file is read: a URL as MRE's are, but of the agent.
func (c *call) media() (any, error) {
	at := c.run.Location(c.run.Chunk().Number)
	if c.path["bucket"] != at.S3Bucket || c.path["key"] != at.S3Key {
		return nil, notFound(fmt.Sprintf("a run reads the media of its own chunk only: %s/%s", at.S3Bucket, at.S3Key))
	}
	if c.run.Media == nil {
		return nil, notFound(fmt.Sprintf("no media came for chunk %d", c.run.Chunk().Number))
	}
	return text(c.run.MediaURL(c.BaseURL)), nil
}

// The data plane knows frames and chunks by itself, so what a plugin says of them is checked and let go.
func (c *call) storeFrames() (any, error) {
	if err := c.require("Program", "Event", "Filename", "Frames"); err != nil {
		return nil, err
	}
	if list, ok := c.body["Frames"].([]any); !ok || len(list) == 0 {
		return nil, badRequest("ValidationError: Frames must be a list of at least one frame")
	}
	return struct{}{}, nil
}

func (c *call) storeChunk() (any, error) {
	if err := c.require("Program", "Event", "Profile", "Filename", "Start", "StartPts",
		"Duration", "S3Bucket", "S3Key"); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

// chunks are the Event's chunks that have media, by number.
func (c *call) chunks() ([]api.Chunk, error) {
	list, err := c.Client.Chunks(c.ctx, c.EventUID)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(x api.Chunk) bool { return x.Units == 0 })
	slices.SortFunc(list, func(a, b api.Chunk) int { return cmp.Compare(a.Extent.StartMicros, b.Extent.StartMicros) })
	return list, nil
}

// chunkAt is the index of the last chunk that starts at or before a time; -1 when there is none.
func chunkAt(list []api.Chunk, millis int64) int {
	at := -1
	for i, x := range list {
		if invocation.MillisOfMicros(x.Extent.StartMicros) <= millis {
			at = i
		}
	}
	return at
}

// onPTS says whether times are PTS, as in MRE unless the query says pts=false.
func (c *call) onPTS() bool { return !strings.EqualFold(c.query.Get("pts"), "false") }

// ptsMicros moves an Event time to the PTS axis.
func (c *call) ptsMicros(us int64) int64 {
	return timeline.MulDiv(c.run.Clock().TicksOfMicros(us), 1_000_000, timeline.TickRate)
}

func (c *call) originMillis() int64 { return invocation.MillisOfMicros(c.ptsMicros(0)) }

func number(us int64) text {
	return text(strconv.FormatFloat(invocation.Seconds(us), 'f', -1, 64))
}

// pathMillis reads seconds in a path.
func (c *call) pathMillis(member string) (int64, error) {
	n, err := strconv.ParseFloat(c.path[member], 64)
	if err != nil {
		return 0, badRequest(fmt.Sprintf("%s %q is not a number of seconds", member, c.path[member]))
	}
	ms, err := invocation.Millis(n)
	if err != nil {
		return 0, badRequest(member + " " + err.Error())
	}
	return ms, nil
}

// chunkStart is the start of the last chunk at or before a time.
func (c *call) chunkStart() (any, error) {
	at, err := c.pathMillis("time")
	if err != nil {
		return nil, err
	}
	if c.onPTS() {
		at -= c.originMillis()
	}
	list, err := c.chunks()
	if err != nil {
		return nil, err
	}
	i := chunkAt(list, at)
	if i < 0 {
		return text("null"), nil
	}
	start := list[i].Extent.StartMicros
	if c.onPTS() {
		start = c.ptsMicros(start)
	}
	return number(start), nil
}

// timecode is the time of a frame of a chunk's file.
func (c *call) timecode() (any, error) {
	n, err := strconv.ParseInt(c.path["frame"], 10, 64)
	if err != nil || n < 0 || n > maxFrames {
		return nil, badRequest(fmt.Sprintf("frame %q is not the number of a frame; they are counted from 0 in each chunk",
			c.path["frame"]))
	}
	chunk, ok := chunkNumber(c.path["file"])
	if !ok {
		return nil, badRequest(fmt.Sprintf("file %q does not end in _NUMBER.ts", c.path["file"]))
	}
	extent := c.run.Chunk()
	if chunk != extent.Number {
		list, err := c.chunks()
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(x api.Chunk) bool { return x.Extent.Number == chunk })
		if i < 0 {
			return nil, notFound(fmt.Sprintf("the Event has no chunk %d yet", chunk))
		}
		extent = list[i].Extent
	}
	us := c.run.Clock().FrameStartMicros(extent.FirstFrame + n)
	if c.onPTS() {
		us = c.ptsMicros(us)
	}
	return number(us), nil
}

// maxFrames bounds the number of a frame: years of video.
const maxFrames = 1 << 36

// chunkNumber reads the digits after the last underscore.
func chunkNumber(file string) (int64, bool) {
	stem := strings.TrimSuffix(file, path.Ext(file))
	n, err := strconv.ParseInt(stem[strings.LastIndexByte(stem, '_')+1:], 10, 64)
	return n, err == nil && n >= 0
}

// chunksOf are the chunks that a range needs: the last one at or before its start, and all that start in it.
func (c *call) chunksOf() (any, error) {
	if err := c.require("Program", "Event", "Start", "End"); err != nil {
		return nil, err
	}
	start, end, err := c.bodyRange()
	if err != nil {
		return nil, err
	}
	list, err := c.chunks()
	if err != nil {
		return nil, err
	}
	type chunk struct {
		Filename string
		Duration float64
		invocation.Location
	}
	out := []chunk{}
	for i := max(chunkAt(list, start), 0); i < len(list); i++ {
		x := list[i].Extent
		if at := invocation.MillisOfMicros(x.StartMicros); at > end || at >= end && at > start {
			break
		}
		at := c.run.Location(x.Number)
		out = append(out, chunk{Filename: path.Base(at.S3Key),
			Duration: invocation.Seconds(x.EndMicros - x.StartMicros), Location: at})
	}
	return out, nil
}

func (c *call) bodyMillis(member string) (int64, error) {
	ms, err := invocation.Millis(c.body[member])
	if err != nil {
		return 0, badRequest(member + " " + err.Error())
	}
	return ms, nil
}

// bodyRange is the time from Start to End that a body names.
func (c *call) bodyRange() (start, end int64, err error) {
	if start, err = c.bodyMillis("Start"); err != nil {
		return 0, 0, err
	}
	end, err = c.bodyMillis("End")
	return start, end, err
}
