// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"net/http"
	"strings"
)

// mreRoutes are the calls of MRE's API that a plugin can use.
func (f *Facade) mreRoutes() []route {
	const get, post, put, patch = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch
	return []route{
		// What a run reads and writes.
		{method: get, pattern: "media/{bucket}/{key...}", handle: (*call).media},
		{method: post, pattern: "plugin/result", reports: true, handle: (*call).saveResults},
		{method: post, pattern: "workflow/segment/state", handle: (*call).segmentState},
		{method: post, pattern: "workflow/labeling/segment/state", handle: (*call).labelingState},
		{method: post, pattern: "workflow/optimization/segment/state", handle: (*call).optimizationState},
		{method: post, pattern: "plugin/dependentplugins/output", handle: (*call).dependantsOutput},
		{method: put,
			pattern: "event/{event}/program/{program}/classifier/{classifier}/start/{start}/attrName/{name}/attrVal/{value...}",
			reports: true, handle: (*call).annotate},
		// Chunks and frames.
		{method: post, pattern: "metadata/frame", handle: (*call).storeFrames},
		{method: post, pattern: "metadata/chunk", handle: (*call).storeChunk},
		{method: get, pattern: "metadata/timecode/{program}/{event}/{file}/{frame}", handle: (*call).timecode},
		{method: get, pattern: "metadata/chunk/start/{program}/{event}/{profile}/{time}", handle: (*call).chunkStart},
		{method: post, pattern: "workflow/engine/clipgen/chunks", handle: (*call).chunksOf},
		// Segments and features.
		{method: post, pattern: "workflow/engine/clipgen/segments", handle: (*call).segmentsForClips},
		{method: get, pattern: "segments/all/program/{program}/event/{event}/classifier/{classifier}/replay",
			handle: (*call).segmentsForReplay},
		{method: get, pattern: "event/{event}/program/{program}/profileClassifier/{classifier}/track/{track}/segments",
			handle: (*call).reviewSegments},
		{method: get, pattern: "event/{event}/program/{program}/profileClassifier/{classifier}/track/{track}/segments/v2",
			handle: (*call).reviewSegmentsNewestFirst},
		{method: get,
			pattern: "event/{event}/program/{program}/profileClassifier/{classifier}/track/{track}/segments/for/edl",
			handle:  (*call).segmentsForEDL},
		{method: get, pattern: "event/{event}/program/{program}/classifier/{classifier}/track/{track}/segments/for/edl",
			handle: (*call).segmentsForEDL},
		{method: put, pattern: "event/program/export/all/segments", handle: (*call).segmentsForExport},
		{method: post, pattern: "replay/feature/in/segment", handle: (*call).featuresIn},
		{method: get,
			pattern: "feature/in/segment/program/{program}/event/{event}/plugin/{plugin}/attrn/{name}/attrv/{value}/" +
				"start/{start}/end/{end}",
			handle: (*call).featureIn},
		{method: get, pattern: "replay/feature/program/{program}/event/{event}/outputattribute/{name}/plugin/{plugin}",
			handle: (*call).featureValues},
		{method: post, pattern: "program/{program}/event/{event}/start/{start}/end/{end}/plugins/output/attributes",
			handle: (*call).attributesIn},
		// Feedback.
		{method: get,
			pattern: "clip/preview/program/{program}/event/{event}/classifier/{classifier}/start/{start}/track/{track}/feedback",
			handle:  (*call).feedbackOf},
		{method: get, pattern: "clip/preview/program/{program}/event/{event}/track/{track}/feedback",
			handle: (*call).feedbackOfTrack},
		{method: post, pattern: "clip/preview/feedback", reports: true, handle: (*call).giveFeedback},
		// The control plane.
		{method: get, pattern: "event/{event}/program/{program}/context-variables", idle: true, handle: (*call).variables},
		{method: patch, pattern: "event/{event}/program/{program}/context-variables",
			freeBody: true, handle: (*call).setVariables},
		{method: get, pattern: "event/{event}/program/{program}/status", handle: (*call).status},
		{method: get, pattern: "event/{event}/program/{program}/timecode/firstpts", handle: (*call).firstPTS},
		{method: get, pattern: "event/{event}/program/{program}", handle: (*call).event},
		{method: get, pattern: "profile/{profile}", handle: (*call).profile},
		{method: get, pattern: "profile/{profile}/context-variables", handle: (*call).profileVariables},
		{method: get, pattern: "prompt/all", idle: true, handle: (*call).prompts},
		{method: get, pattern: "prompt/{name}", idle: true, handle: (*call).prompt},
		{method: get, pattern: "prompt/{name}/version/all", idle: true, handle: (*call).promptVersions},
		{method: get, pattern: "prompt/{name}/version/{version}", idle: true, handle: (*call).prompt},
	}
}

// elsewhere says of MRE's other calls what there is in their place.
func elsewhere(method string, parts []string) error {
	path := strings.Join(parts, "/")
	const replays = "Replays are Kubernetes objects, and planned by the operator; make one with kubectl"
	for _, e := range []struct{ part, instead string }{
		{"/replay/", replays}, {"/previewinfo", "what was found around a segment is read with replay/feature/in/segment"},
		{"/export/data/", "exports are written to the bucket when the Event is complete"},
		{"/hls/", "playlists are not served to plugins"},
		{"/edl/", "the EDL is written to the bucket when the Event is complete"},
	} {
		if strings.Contains("/"+path, e.part) {
			return notOffered(method + " /" + path + " is not answered here: " + e.instead)
		}
	}
	for _, e := range []struct{ prefix, instead string }{
		{"clip/result", "clips are rendered and recorded by the operator; an Event's clips say what is made"},
		{"job/", "clips and reels are rendered by the operator, without jobs to keep account of"},
		{"chunk/thumbnails", "clips and reels have thumbnails; decode the chunk's file for others"},
		{"manifest/", "playlists are not served to plugins"},
		{"replay", replays},
		{"event", "Events are Kubernetes objects; of this Event, a plugin may read the row, its status and its context " +
			"variables, and set the latter"},
		{"plugin", "Plugins are Kubernetes objects; what the plugin needs of others stands in its input"},
		{"profile", "Profiles are Kubernetes objects; what the plugin needs stands in its input"},
		{"model", "Models are Kubernetes objects; the one that the Profile picked stands in the " +
			"input as Plugin.ModelEndpoint"},
		{"prompt", "prompts are ConfigMaps; the Plugin names them in spec.prompts, and they are only read"},
		{"workflow/execution", "the operator keeps account of runs: kubectl mre explain"},
		{"contentgroup", "content groups are labels here"},
		{"program", "a program is a field of the Event"},
		{"custompriorities", "priorities of others belong to a Replay"},
		{"system", "there is no such setting here"},
	} {
		if path == e.prefix || strings.HasPrefix(path, strings.TrimSuffix(e.prefix, "/")+"/") {
			return notOffered(method + " /" + path + " is not answered here: " + e.instead)
		}
	}
	return notFound("MRE's API has no " + method + " /" + path)
}
