// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// row is a row of MRE's table of results, in which segments are rows too.
type row map[string]any

// found is a result that is about to become a row.
type found struct {
	plugin     string
	track      int32
	chunk      int64
	span       invocation.Span
	attributes map[string]any
}

func (c *call) stored(r api.StoredResult) found {
	return c.foundIn(r.Plugin, r.Track, r.Chunk, r.Result)
}

func (c *call) foundIn(plugin string, track int32, chunk int64, r api.Result) found {
	end := invocation.MillisOfMicros(r.End.Micros)
	return found{plugin: plugin, track: track, chunk: chunk, attributes: r.Attributes,
		span: invocation.Span{StartMillis: invocation.MillisOfMicros(r.Start.Micros), EndMillis: &end}}
}

// chunkOf is the chunk in which a time of the lease's results lies.
func (c *call) chunkOf(us int64) int64 {
	return min(timeline.ChunkOf(us, int64(c.Plan.ChunkSeconds)), c.run.Chunk().Number)
}

func (c *call) planned(name string) *api.PlanPlugin {
	i := slices.IndexFunc(c.Plan.Plugins, func(p api.PlanPlugin) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Plan.Plugins[i]
}

// common are the columns that every row has. They stand over attributes of the same names, as in MRE.
func (c *call) common(r row, name string, track int32, chunk int64) row {
	e, plugin := c.Plan.Event, c.planned(name)
	name = c.Plan.NameInMRE(name)
	event := e.Program + "#" + e.Name
	r["PK"], r["ProgramEvent"], r["ProgramEventPluginName"] = event+"#"+name, event, event+"#"+name
	r["Program"], r["Event"], r["ProfileName"] = e.Program, e.Name, e.Profile
	r["ChunkSize"], r["ProcessingFrameRate"] = c.Plan.ChunkSeconds, invocation.MREProfile(c.Plan).ProcessingFrameRate
	r["ExecutionId"] = invocation.ExecutionID(c.Plan, chunk)
	r["PluginName"], r["PluginClass"], r["ModelEndpoint"] = name, "", ""
	if plugin != nil {
		r["PluginClass"] = invocation.MREClass(plugin.Class)
		if plugin.Model != nil {
			r["ModelEndpoint"] = *plugin.Model
		}
	}
	at := c.run.Location(chunk)
	r["Location"], r["ChunkNumber"] = at, chunk
	r["Filename"] = at.S3Key[strings.LastIndexByte(at.S3Key, '/')+1:]
	if track > 0 {
		r["AudioTrack"] = strconv.Itoa(int(track))
		r["PK"] = event + "#" + name + "#" + strconv.Itoa(int(track))
	} else {
		delete(r, "AudioTrack")
	}
	return r
}

// row is a result as MRE's API shows it.
func (c *call) row(f found) row {
	r := make(row, len(f.attributes)+18)
	maps.Copy(r, f.attributes)
	c.common(r, f.plugin, f.track, f.chunk)
	r["Start"], r["End"] = seconds(f.span.StartMillis), seconds(f.end())
	return r
}

func (f found) end() int64 {
	if f.span.Partial() {
		return f.span.StartMillis
	}
	return *f.span.EndMillis
}

func seconds(ms int64) float64 { return invocation.SecondsOfMillis(ms) }

// leased are the results of a dependency that came with the lease; false when the plugin is none. They are the same
// at every attempt. Tracks other than the asked one are left out; track 0 asks for all.
func (c *call) leased(plugin string, track int32) ([]found, bool) {
	declared := slices.Contains(c.run.Plugin.DependsOn, plugin)
	var out []found
	for _, d := range c.run.Dependencies() {
		if d.Plugin != plugin || track > 0 && d.Track > 0 && d.Track != track {
			continue
		}
		for _, r := range d.Results {
			out = append(out, c.foundIn(plugin, d.Track, c.chunkOf(r.Start.Micros), r))
		}
	}
	sortFound(out)
	return out, declared
}

// live are published results and those that this very run saved.
func (c *call) live(f api.ListResultsParams) ([]found, error) {
	if f.Plugin != nil && c.planned(*f.Plugin) == nil {
		return nil, nil
	}
	list, err := c.Client.ResultsWhere(c.ctx, c.EventUID, f)
	if err != nil {
		return nil, err
	}
	var out []found
	for _, r := range list {
		out = append(out, c.stored(r))
	}
	if p := c.run.Plugin; p.Class == api.PlanPluginClassFeaturer && (f.Plugin == nil || *f.Plugin == p.Name) &&
		(f.Track == nil || *f.Track == c.run.Track) {
		for _, s := range c.run.Saved() {
			if f.FromMicros != nil && s.StartMicros() < *f.FromMicros || f.ToMicros != nil && s.StartMicros() > *f.ToMicros {
				continue
			}
			out = append(out, found{plugin: p.Name, track: c.run.Track,
				chunk: c.run.Chunk().Number, span: s.Span, attributes: s.Fields})
		}
	}
	sortFound(out)
	return out, nil
}

func sortFound(list []found) {
	slices.SortStableFunc(list, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.span.StartMillis, b.span.StartMillis),
			cmp.Compare(a.plugin, b.plugin), cmp.Compare(a.track, b.track))
	})
}

// items is a page of rows: the only one.
type items struct{ Items []row }

func (c *call) items(list []found, keep func(found) bool) items {
	out := items{Items: []row{}}
	for _, f := range list {
		if keep(f) {
			out.Items = append(out.Items, c.row(f))
		}
	}
	return out
}

func all(found) bool { return true }
