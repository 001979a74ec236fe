// SPDX-License-Identifier: Apache-2.0

package mre

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the program is called in a path, as requests writes it. Blanks and a slash are the worst of both.
const program = "Open%202026%20/%20Men"

func envelope(plugin, class, chunk, results string) string {
	return `{"Program":"Open 2026 / Men","Event":"final","ProfileName":"soccer","PluginName":"` +
		plugin + `","PluginClass":"` + class +
		`","ChunkNumber":` + chunk + `,"Results":` + results + `}`
}

// tooMany are more results than a run may save.
func tooMany() string {
	return `[` + numbered(10_001) + `]`
}

// numbered are results, a millisecond apart.
func numbered(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"Start":%d.%03d}`, i/1000, i%1000))
	}
	return strings.Join(list, ",")
}

func scoped(more string) string { return `{"Program":"Open 2026 / Men","Event":"final",` + more + `}` }

// TestRoutes walks an Event of three chunks and makes every call that MRE's helper can make, each where a plugin
// would make it.
func TestRoutes(t *testing.T) {
	w := newWorld(t, testPlan())
	prompts := filepath.Join(w.prompts, "describe")
	if err := os.MkdirAll(prompts, 0o755); err != nil {
		t.Fatal(err)
	}
	for version, body := range map[string]string{"v1": "one", "v2": "two {x}", "v10": "ten", "..data": "no"} {
		if err := os.WriteFile(filepath.Join(prompts, version), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.between(t)

	w.ingest(t, eventUID, 1, 3, 3)
	w.work(map[string]handler{
		"scenes": func(p *port, event []byte) ([]byte, error) {
			if chunkOf(event) == 1 {
				w.asFeaturer(t, p)
			}
			return says(map[float64]string{1: `[{"Start":0,"Label":"near"},{"Start":2.5,"End":4,"Label":"far",` +
				`"Near":true,"extra":7}]`, 3: `[{"Start":21,"End":22,"Label":"far"}]`})(p, event)
		},
		"volley": func(p *port, event []byte) ([]byte, error) {
			if chunkOf(event) == 1 {
				expect(t, p.url, []request{{
					call: "POST plugin/dependentplugins/output",
					body: scoped(`"ChunkNumber":1,"DependentPlugins":[{"Name":"scenes","SupportedMediaType":"Video"}],"AudioTrack":1`),
					has: []string{`"scenes":{"Items":[{`, `"Start":0`, `"Label":"near"`,
						`"Start":2.5`, `"extra":7`, `"ChunkNumber":1`},
				}})
			}
			return says(map[float64]string{1: `[{"Start":8.32,"End":9,"Volley":true}]`,
				2: `[{"Start":12,"End":12.52,"Volley":true}]`, 3: `[{"Start":23.12,"End":24,"Volley":false}]`})(p, event)
		},
		"noise": func(p *port, event []byte) ([]byte, error) {
			if strings.Contains(string(event), `"TrackNumber":2`) {
				return says(map[float64]string{1: `[{"Start":9,"End":9.8,"Loud":2}]`})(p, event)
			}
			return says(map[float64]string{1: `[{"Start":7,"End":8.2,"Loud":1}]`,
				3: `[{"Start":24.52,"End":25.52,"Loud":1}]`})(p, event)
		},
		"moments": w.asClassifier(t),
		"cutter":  w.asOptimizer(t),
		"namer":   w.asLabeler(t),
	})
	if len(w.failures) > 0 {
		t.Fatal(w.failures)
	}
	w.afterwards(t)
}

// between runs: what may be asked, and what not.
func (w *world) between(t *testing.T) {
	p := w.ports["scenes"]
	expect(t, p.url, []request{
		{call: "GET event/final/program/" + program + "/context-variables", want: `{"Last_Theme":"none"}`},
		{call: "GET prompt/describe%20scene/version/v0",
			has: []string{`"Version":"v0"`, `"Latest":10`, `"Template":"ten"`, `"Name":"describe scene"`}},
		{call: "GET prompt/describe%20scene", has: []string{`"Version":"v0"`}},
		{call: "GET prompt/describe%20scene/version/v2", has: []string{`"Version":"v2"`, `"Template":"two {x}"`}},
		{call: "GET prompt/describe%20scene/version/v3", status: 404, has: []string{"up to v10"}},
		{call: "GET prompt/describe%20scene/version/all", has: []string{`"v1"`, `"v2"`, `"v10"`}},
		{call: "GET prompt/gone", status: 404, has: []string{"ConfigMap gone"}},
		{call: "GET prompt/others", status: 404, has: []string{"spec.prompts"}},
		{call: "GET /mre/v1/prompts/describe%20scene?version=v1",
			want: `{"name":"describe scene","version":"v1","template":"one"}`},
		{call: "GET /mre/v1/variables", want: `{"variables":{"Last_Theme":"none"}}`},
		{call: "GET media/mre/x", status: 409},
		{call: "POST plugin/result", status: 409, body: envelope("scenes", "Featurer", "1", `[{"Start":1}]`)},
		{call: "PATCH event/final/program/" + program + "/context-variables", status: 409, body: `{"a":"b"}`},
		{call: "GET /mre/v1/media/x", status: 409}, {call: "GET /mre/v1/frames?width=8&format=gray", status: 409},
		{call: "POST /mre/v1/variables/a/swap", body: `{"value":1}`, status: 409},
	})
}

func (w *world) asFeaturer(t *testing.T, p *port) {
	key := eventUID + "%2FOpen%202026%20-%20Men%2Ffinal%2Fsoccer%2FOpen-2026---Men_final_1_00001.ts"
	media := "/mre/v1/media/Open-2026---Men_final_1_00001.ts"
	expect(t, p.url, []request{
		// The chunk's file.
		{call: "GET /x.execute-api.us-east-1.amazonaws.com/api//media/mre/" + key, want: p.url + media},
		{call: "GET media/mre/" + strings.ReplaceAll(key, "%2F", "/"), want: p.url + media},
		{call: "GET media/mre/" + strings.ReplaceAll(key, "00001", "00002"), status: 404, has: []string{"own chunk only"}},
		{call: "GET media/other/" + key, status: 404},
		{call: "GET " + media, want: string(unitBody(0)) + string(unitBody(1))},
		{call: "GET /mre/v1/media/..%2F..%2Fetc%2Fpasswd", status: 404}, {call: "GET /mre/v1/media/x/y", status: 404},
		{call: "GET /mre/v1/frames?width=8&format=gray", status: 501},
		// Times.
		{call: "GET metadata/chunk/start/" + program + "/final/soccer/5.5?pts=false", want: "0"},
		{call: "GET metadata/chunk/start/" + program + "/final/soccer/12.5?pts=False", want: "10"},
		{call: "GET metadata/chunk/start/" + program + "/final/soccer/12.5", want: "11.4"},
		{call: "GET metadata/chunk/start/" + program + "/final/soccer/1.3", want: "null"},
		{call: "GET metadata/chunk/start/" + program + "/final/soccer/soon", status: 400},
		{call: "GET metadata/timecode/" + program + "/final/Open-2026---Men_final_1_00001.ts/3?pts=false", want: "0.12"},
		{call: "GET metadata/timecode/" + program + "/final/Open-2026---Men_final_1_00002.ts/0", want: "11.4"},
		{call: "GET metadata/timecode/" + program + "/final/x_00099.ts/0", status: 404},
		{call: "GET metadata/timecode/" + program + "/final/x.ts/0", status: 400},
		{call: "GET metadata/timecode/" + program + "/final/x_1.ts/-1", status: 400},
		{call: "POST workflow/engine/clipgen/chunks", body: scoped(`"Profile":"soccer","Start":9,"End":12`),
			has: []string{`"Filename":"Open-2026---Men_final_1_00001.ts","Duration":10,"S3Bucket":"mre"`, "00002.ts"}},
		{call: "POST metadata/frame", body: scoped(`"Filename":"f","Frames":[{"FrameNumber":0}]`), want: "{}"},
		{call: "POST metadata/frame", body: scoped(`"Filename":"f","Frames":[]`), status: 400},
		{call: "POST metadata/chunk", body: scoped(`"Profile":"soccer","Filename":"f","Start":0,"StartPts":1,"Duration":10,` +
			`"S3Bucket":"b","S3Key":"k"`), want: "{}"},
		{call: "POST metadata/chunk", body: scoped(`"Profile":"soccer"`), status: 400},
		// Results, and what the run sees of them.
		{call: "POST plugin/result", body: envelope("scenes", "Featurer",
			"1", `[{"Start":0,"Label":"near"},{"Start":2.5,"End":4,"Label":"far","Near":true,"extra":7,"PK":"x"}]`), want: "{}"},
		{call: "POST plugin/result", body: envelope("scenes", "Featurer", "1", `[]`), status: 400},
		{call: "POST plugin/result", body: envelope("scenes", "Featurer", "1", `[{"End":1}]`), status: 400,
			has: []string{"Results[0]: Start is absent"}},
		{call: "POST plugin/result", body: envelope("scenes", "Featurer", "1", `[{"Start":NaN}]`),
			status: 400, has: []string{"NaN"}},
		{call: "POST plugin/result", body: envelope("scenes", "Featurer", "1", `[{"Start":1},{"Start":1e9}]`), status: 400,
			has: []string{"Results[1] is at 1000000000 s, more than 10 minutes away"}},
		{call: "POST plugin/result", body: envelope("scenes", "Featurer", "1", tooMany()), status: 400,
			has: []string{"saved 10001 results, and may save 10000"}},
		{call: "POST plugin/result", body: envelope("noise", "Featurer", "1", `[{"Start":1}]`), status: 403},
		{call: "POST plugin/result", body: envelope("scenes", "Classifier", "1", `[{"Start":1}]`), status: 400},
		{call: "POST plugin/result", body: envelope("scenes", "Featurer", "2", `[{"Start":1}]`), status: 409},
		{call: "POST replay/feature/in/segment",
			body: scoped(`"PluginName":"scenes","Start":0,"End":3,"OutputAttributes":["Label","Near"]`),
			want: `[{"Start":0,"End":0,"Label":"near"},{"Start":2.5,"End":4,"Label":"far","Near":true}]`},
		{call: "GET feature/in/segment/program/" + program + "/event/final/plugin/scenes/attrn/Near/attrv/True/start/0/end/9",
			has: []string{`"Start":2.5`, `"PluginClass":"Featurer"`}},
		{call: "GET feature/in/segment/program/" + program +
			"/event/final/plugin/scenes/attrn/Label/attrv/wide/start/0/end/9", want: "null"},
		{call: "GET replay/feature/program/" + program + "/event/final/outputattribute/Label/plugin/scenes",
			want: `{"scenes | Label":["near","far"]}`},
		{call: "POST program/" + program + "/event/final/start/0/end/9/plugins/output/attributes",
			body: `{"pluginAttributes":["Near"]}`, want: `{"scenes":[{"Start":2.5,"Near":true}]}`},
		// Context variables.
		{call: "PATCH event/final/program/" + program + "/context-variables",
			body: `{"Last_Theme":"sport","n":2,"on":true}`, want: "{}"},
		{call: "GET event/final/program/" + program + "/context-variables",
			has: []string{`"Last_Theme":"sport"`, `"n":2`, `"on":true`}},
		{call: "PATCH event/final/program/" + program + "/context-variables", body: `{"Event":"late goal"}`, want: "{}"},
		{call: "PATCH event/final/program/" + program + "/context-variables", body: `{"list":[1]}`,
			status: 400, has: []string{"list is a list"}},
		{call: "GET profile/soccer/context-variables", want: `{"Last_Theme":"none"}`},
		{call: "POST /mre/v1/variables/count/swap", body: `{"value":1}`, want: `{"swapped":true,"current":1}`},
		{call: "POST /mre/v1/variables/count/swap", body: `{"value":2,"expected":7}`, want: `{"swapped":false,"current":1}`},
		// The control plane.
		{call: "GET event/final/program/" + program,
			has: []string{`"Status":"In Progress"`, `"FirstPts":1.4`, `"AudioTracks":[1,2]`, `"FrameRate":25`}},
		{call: "GET event/final/program/" + program + "/status", want: "In Progress"},
		{call: "GET event/final/program/" + program + "/timecode/firstpts", want: "1.4"},
		{call: "GET profile/soccer", has: []string{`"Classifier":{"Name":"moments"`, `"ProcessingFrameRate":5`}},
		// What belongs to others.
		{call: "GET event/semi/program/" + program + "/context-variables", status: 403},
		{call: "GET event/final/program/Open", status: 403}, {call: "GET profile/tennis", status: 403},
		{call: "POST plugin/result", body: `{"Program":"Cup","Event":"final"}`, status: 403},
		{call: "POST workflow/engine/clipgen/segments", body: scoped(`"Classifier":"other"`), status: 404},
		// What is for other classes, or not here.
		{call: "POST workflow/segment/state", body: scoped(`"PluginName":"scenes"`), status: 400},
		{call: "POST workflow/labeling/segment/state", body: scoped(`"Classifier":"moments"`), status: 400},
		{call: "POST workflow/optimization/segment/state", body: scoped(`"Classifier":"moments"`), status: 400},
		{call: "POST clip/result", body: "{}", status: 501}, {call: "POST job/create/1", body: "{}", status: 501},
		{call: "POST replay", body: "{}", status: 501},
		{call: "GET event/final/program/" + program + "/replay/1/segments", status: 501, has: []string{"Replays are"}},
		{call: "PATCH event/final/program/" + program + "/context-variables",
			body: `{"long":"` + strings.Repeat("x", 61<<10) + `"}`, status: 400},
		{call: "DELETE event/final/program/" + program, status: 501},
		{call: "GET nonsense", status: 404}, {call: "GET /nothing", status: 404},
	})
}

// asClassifier keeps one segment open over three chunks.
func (w *world) asClassifier(t *testing.T) handler {
	state := func(chunk, start string) string {
		return scoped(`"PluginName":"moments","DependentPlugins":["volley","noise","scenes"],"ChunkNumber":` + chunk +
			`,"ChunkStart":` + start + `,"MaxSegmentLength":60`)
	}
	return func(p *port, event []byte) ([]byte, error) {
		switch chunkOf(event) {
		case 1:
			expect(t, p.url, []request{
				{call: "POST workflow/segment/state", body: state("1", "0"), has: []string{`"State":null`, `"PriorSegment":{}`,
					`"noise":{"Items":[{`, `"AudioTrack":"1"`, `"AudioTrack":"2"`, `"Volley":true`}},
				{call: "POST workflow/segment/state", body: strings.Replace(state("1", "0"), "{",
					`{"LastEvaluatedKeys":{"volley":{"PK":"x"}},`, 1), has: []string{`"volley":{"Items":[]}`}},
				{call: "POST workflow/segment/state", body: strings.Replace(state("1", "0"), "{",
					`{"LastEvaluatedKeys":{"volley":{}},`, 1), has: []string{`"volley":{"Items":[{`}},
				{call: "POST plugin/result", body: envelope("moments", "Classifier", "1",
					`[{"Start":0,"End":5.0,"Pidx":3},{"Start":8.311,"OptoStartCode":"Not Attempted"}]`), want: "{}"},
				{call: "PUT event/final/program/" + program +
					"/classifier/moments/start/0/attrName/note/attrVal/a%20b", want: "{}"},
				{call: "PUT event/final/program/" + program + "/classifier/moments/start/77/attrName/note/attrVal/x", status: 404},
				{call: "PUT event/final/program/" + program + "/classifier/moments/start/0/attrName/Label/attrVal/x", status: 400},
				{call: "GET segments/all/program/" + program + "/event/final/classifier/moments/replay",
					has: []string{`"Start":0`, `"End":5`, `"Start":8.311`, `"End":8.311`}},
			})
			return answer("[]"), nil
		case 2:
			expect(t, p.url, []request{{call: "POST workflow/segment/state", body: state("2", "10"),
				// What started after the open segment, in this chunk or before.
				has: []string{`"State":"Start"`, `"Start":8.311`, `"End":8.311`, `"LabelCode":"Not Attempted"`, `"OptoStart":{}`,
					`"volley":{"Items":[{`, `"Start":12,"Volley"`, `"scenes":{"Items":[]}`}}})
			return answer(`[{"Start":8.311}]`), nil
		case 3:
			expect(t, p.url, []request{
				{call: "POST workflow/segment/state", body: state("3", "20"), has: []string{`"State":"Start"`, `"Start":8.311`}},
				{call: "POST plugin/result", body: envelope("moments", "Classifier", "3",
					`[{"Start":8.311,"End":23.2,"Pidx":1},{"Start":26}]`), want: "{}"},
				{call: "POST workflow/segment/state", body: state("3", "20"),
					has: []string{`"State":"End"`, `"End":23.2`, `"volley":{"Items":[]}`}},
			})
			return answer("[]"), nil
		}
		return answer("[]"), nil
	}
}

func (w *world) asOptimizer(t *testing.T) handler {
	return func(p *port, event []byte) ([]byte, error) {
		body := scoped(`"ChunkNumber":3,"Classifier":"moments","SearchWindowSeconds":2,"Detectors":[{"Name":"noise",` +
			`"SupportedMediaType":"Audio"}],"AudioTrack":1`)
		if !strings.Contains(string(event), `"TrackNumber":1`) || !worksOn(event, 8_311_000) {
			return answer("[]"), nil
		}
		expect(t, p.url, []request{
			// Nothing overlaps the start at 8.311, and 8.2 lies in the window before it; the end looks ahead.
			{call: "POST workflow/optimization/segment/state", body: body,
				has: []string{`"Item":{`, `"Start":8.311`, `"End":23.2`,
					`{"DependentDetector":"noise","Start":[{`, `"End":8.2`, `{"DependentDetector":"noise","End":[{`, `"Start":24.52`}},
			{call: "POST plugin/result", body: envelope("cutter", "Optimizer", "3",
				`[{"Start":8.311,"End":23.2,"OptoStart":7,"OptoStartCode":"Opto succeeded","OptoEnd":25.5,"OptoEndCode":"Opto `+
					`succeeded","OptoEndDescription":"silence"}]`), want: "{}"},
			{call: "POST workflow/optimization/segment/state", body: body, want: `{}`},
			{call: "POST workflow/engine/clipgen/segments", body: scoped(`"Classifier":"moments"`),
				want: `{"Items":[{"PK":"Open 2026 / Men#final#moments","Start":0,"End":5,"OptoStart":{},"OptoEnd":{}},` +
					`{"PK":"Open 2026 / Men#final#moments","Start":8.311,"End":23.2,"OptoStart":{"1":7},"OptoEnd":{"1":25.5}},` +
					`{"PK":"Open 2026 / Men#final#moments","Start":26,"End":30,"OptoStart":{},"OptoEnd":{}}]}`},
		})
		return answer("[]"), nil
	}
}

func (w *world) asLabeler(t *testing.T) handler {
	return func(p *port, event []byte) ([]byte, error) {
		body := scoped(`"Classifier":"moments","DependentPlugins":["volley","noise"],"ChunkNumber":3`)
		if !worksOn(event, 8_311_000) {
			return answer(`[{"Start":0,"LabelCode":"Succeeded","Label":"first"}]`), nil
		}
		expect(t, p.url, []request{
			{call: "POST workflow/labeling/segment/state", body: body, has: []string{`"Start":8.311`, `"volley":{"Items":[{`,
				`"Start":12,"Volley"`, `"Start":23.12`, `"noise":{"Items":[{`, `"Start":9}`, `"AudioTrack":"2"`}},
			{call: "POST plugin/result", body: envelope("namer", "Labeler", "3", `[{"Start":8.311,"Label":"x"}]`),
				status: 400, has: []string{"LabelCode is absent"}},
			{call: "POST plugin/result", body: envelope("namer", "Labeler",
				"3", `[{"Start":8.311,"LabelCode":"Succeeded","Label":"30-15","Score":15.0,"other":1}]`), want: "{}"},
			{call: "POST workflow/labeling/segment/state", body: body, want: `{}`},
			{call: "POST clip/preview/feedback",
				body: scoped(`"Classifier":"moments","AudioTrack":1,"StartTime":8.311,"OriginalFeedback":{"Feedback":"like",` +
					`"FeedbackDetail":"good"},"IsOptimizerConfiguredInProfile":true,"ActionSource":"Original"`), want: "{}"},
			{call: "POST clip/preview/feedback", body: scoped(`"Classifier":"moments","AudioTrack":1,"StartTime":8.311,` +
				`"OriginalFeedback":{"Feedback":"superb"}`), status: 400},
			{call: "POST clip/preview/feedback",
				body:   scoped(`"Classifier":"moments","AudioTrack":1,"StartTime":99,"OriginalFeedback":{"Feedback":"Like"}`),
				status: 404},
			{call: "GET clip/preview/program/" + program + "/event/final/classifier/moments/start/8.311/track/1/feedback",
				has: []string{`"Feedback":"Like"`, `"FeedbackDetail":"good"`, `"Reviewer":"plugin namer"`}},
			{call: "GET clip/preview/program/" + program +
				"/event/final/classifier/moments/start/0/track/1/feedback", want: "{}"},
			{call: "GET clip/preview/program/" + program + "/event/final/track/1/feedback",
				has: []string{`[{`, `"Start":8.311`}},
			{call: "GET event/final/program/" + program + "/profileClassifier/moments/track/1/segments",
				has: []string{`"StartTime":8.311`, `"Label":"30-15"`, `"OrigLength":14.889`, `"FeatureCount":"TBD"`}},
			{call: "GET event/final/program/" + program + "/profileClassifier/moments/track/1/segments/v2",
				has: []string{`{"Items":[{`, `"LastEvaluatedKey":{}`}},
			{call: "GET event/final/program/" + program + "/profileClassifier/moments/track/1/segments/for/edl",
				has: []string{`{"End":5,"OptoEnd":{},"OptoStart":{},"Start":0}`}},
			{call: "PUT event/program/export/all/segments", body: `{"Name":"final","Program":"Open 2026 / Men",` +
				`"Classifier":"moments","OutputAttributes":["Pidx","Near"],"PluginsInProfile":[],"Limit":1}`,
				has: []string{`"LastStartValue":0`, `"FeaturesFound":["Pidx"]`, `"Start":0`}},
			{call: "PUT event/program/export/all/segments", body: `{"Name":"final","Program":"Open 2026 / Men",` +
				`"Classifier":"moments","OutputAttributes":["Pidx"],"PluginsInProfile":[],"LastStartValue":0}`,
				has: []string{`"LastStartValue":null`, `"Start":8.311`, `"Start":26`, `"Feedback":[{`}},
			{call: "PUT event/program/export/all/segments",
				body: `{"Name":"semi","Program":"Open 2026 / Men","Classifier":"moments","OutputAttributes":[]}`, status: 403},
			{call: "PUT event/final/program/" + program +
				"/classifier/moments/start/8.311/attrName/note/attrVal/s3://a//b%20c", want: "{}"},
		})
		return answer("[]"), nil
	}
}

// afterwards is what was published.
func (w *world) afterwards(t *testing.T) {
	variables, err := w.agent(t, eventUID).Variables(t.Context(), eventUID)
	if err != nil || variables["Last_Theme"] != "sport" || variables["n"] != 2.0 || variables["count"] != 1.0 {
		t.Errorf("the variables are %v (%v)", variables, err)
	}
	segments, err := w.manager.Segments(t.Context(), eventUID)
	if err != nil || len(segments) != 3 {
		t.Fatalf("%d segments (%v): %+v", len(segments), err, segments)
	}
	first, second, third := segments[0], segments[1], segments[2]
	if first.Attributes["note"] != "a b" || first.Attributes["Pidx"] != 3.0 ||
		first.Label != "first" || first.Out.Frame != 125 {
		t.Errorf("the first segment is %+v", first)
	}
	// 8.311 s is frame 208; it stays known by what was reported.
	if second.In.Frame != 208 || second.ReportedStartMicros != 8_311_000 || second.Out.Frame != 580 ||
		second.Label != "30-15" || second.Attributes["note"] != "s3://a//b c" ||
		second.Attributes["OptoEndDescription"] != "silence" || *second.ClosedChunk != 3 {
		t.Errorf("the second segment is %+v", second)
	}
	if len(second.Optimized) == 0 || second.Optimized[0].In.Frame != 175 ||
		second.Optimized[0].Out.Frame != 637 && second.Optimized[0].Out.Frame != 638 {
		t.Errorf("the second segment's marks are %+v", second.Optimized)
	}
	if third.In.Frame != 650 || third.Out == nil || third.Out.Frame != 750 || *third.CloseReason != "SourceEnded" {
		t.Errorf("the third segment is %+v", third)
	}
}

func TestParameterStore(t *testing.T) {
	w := newWorld(t, testPlan())
	url := w.ports["scenes"].url
	for _, c := range []struct{ target, region, body, want string }{
		{"GetParameters", "eu-west-1", `{"Names":["/MRE/DataPlane/EndpointURL","/MRE/ControlPlane/EndpointURL","/other"]}`,
			`{"InvalidParameters":["/other"],"Parameters":[` + parameter("/MRE/DataPlane/EndpointURL", url, "eu-west-1") + "," +
				parameter("/MRE/ControlPlane/EndpointURL", url, "eu-west-1") + `]}`},
		{"GetParameter", "us-east-1", `{"Name":"/MRE/DataPlane/EndpointURL"}`,
			`{"Parameter":` + parameter("/MRE/DataPlane/EndpointURL", url, "us-east-1") + `}`},
		{"GetParameter", "us-east-1", `{"Name":"/other"}`, `"__type":"ParameterNotFound"`},
		{"PutParameter", "us-east-1", `{}`, `"__type":"UnknownOperationException"`},
		{"GetParameters", "us-east-1", `[`, `"__type":"SerializationException"`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "AmazonSSM."+c.target)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=mre/20260601/"+c.region+
			"/ssm/aws4_request, SignedHeaders=host, Signature=00")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		_ = resp.Write(&got)
		_ = resp.Body.Close()
		if !strings.Contains(got.String(), c.want) {
			t.Errorf("%s %s: %s, want %s", c.target, c.body, got.String(), c.want)
		}
	}
}

func parameter(name, url, region string) string {
	return `{"Name":"` + name + `","Type":"String","Value":"` + url + "/x.execute-api." + region +
		`.amazonaws.com/api/","DataType":"text","Version":1}`
}
