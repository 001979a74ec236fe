// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// contextVariables are the Event's context variables as a run sees them.
func (f *Facade) contextVariables(ctx context.Context, run *invocation.Run) (map[string]any, error) {
	all, err := f.Client.Variables(ctx, f.EventUID)
	if err != nil {
		return nil, err
	}
	if all == nil {
		all = map[string]any{}
	}
	if run != nil {
		maps.Copy(all, run.Variables())
	}
	return all, nil
}

func (c *call) variables() (any, error) { return c.contextVariables(c.ctx, c.run) }

// setVariables holds context variables back until the task is completed.
func (c *call) setVariables() (any, error) {
	for _, name := range slices.Sorted(maps.Keys(c.body)) {
		if err := invocation.CheckVariable(name, c.body[name]); err != nil {
			return nil, badRequest("ValidationError: " + err.Error())
		}
	}
	if err := c.reserve(); err != nil {
		return nil, err
	}
	c.run.SetVariables(c.body)
	return struct{}{}, nil
}

func (c *call) profileVariables() (any, error) {
	if c.Plan.Variables == nil {
		return struct{}{}, nil
	}
	return c.Plan.Variables, nil
}

// statusWord is MRE's word for how far the Event has come. While a plugin runs, it is not over.
const statusWord = "In Progress"

func (c *call) status() (any, error) { return text(statusWord), nil }

func (c *call) firstPTS() (any, error) { return seconds(c.originMillis()), nil }

// event is the row of the Event, as far as there is one here.
func (c *call) event() (any, error) {
	h := c.run.Head()
	rate := c.run.Clock().Rate
	return map[string]any{
		"Name": h.Name, "Program": h.Program, "Id": c.EventUID, "Profile": c.Plan.Event.Profile, "Start": h.Start,
		"Status": statusWord, "TimecodeSource": h.TimecodeSource, "GenerateOrigClips": h.GenerateOrigClips,
		"GenerateOptoClips": h.GenerateOptoClips, "GenerateOrigThumbNails": h.GenerateOrigThumbNails,
		"GenerateOptoThumbNails": h.GenerateOptoThumbNails, "AudioTracks": h.AudioTracks,
		"FirstPts": seconds(c.originMillis()), "FrameRate": (rate.Num + rate.Den/2) / rate.Den,
		"SourceVideoMetadata": struct{}{},
	}, nil
}

// profile is the row of the Profile: its short form, with the names and switches of the long one.
func (c *call) profile() (any, error) {
	return struct {
		invocation.Profile
		Enabled       bool
		ContentGroups []string
	}{invocation.MREProfile(c.Plan), true, []string{}}, nil
}

// prompts are the newest versions of the plugin's prompts.
func (c *call) prompts() (any, error) {
	out := []row{}
	for _, p := range c.Plugin.Prompts {
		versions, err := c.promptFiles(p)
		if err != nil {
			return nil, err
		}
		out = append(out, newest(versions))
	}
	return out, nil
}

// prompt is one version of a prompt; v0, or none, is the newest.
func (c *call) prompt() (any, error) {
	return c.Facade.prompt(c.path["name"], c.path["version"])
}

func (c *call) promptVersions() (any, error) {
	p, err := c.promptNamed(c.path["name"])
	if err != nil {
		return nil, err
	}
	versions, err := c.promptFiles(p)
	if err != nil {
		return nil, err
	}
	out := []row{}
	for _, v := range versions {
		out = append(out, v.row())
	}
	return out, nil
}

// row is a version of a prompt as MRE keeps it.
func (v promptVersion) row() row {
	return row{"Name": v.prompt.Name, "Version": v.name(), "Template": v.template, "Description": "",
		"ContentGroups": []string{}, "Enabled": true, "Created": v.at.UTC().Format(time.RFC3339)}
}

// newest is the copy of the newest version that MRE calls v0.
func newest(versions []promptVersion) row {
	last := versions[len(versions)-1]
	r := last.row()
	r["Version"], r["Latest"] = "v0", last.number
	return r
}
