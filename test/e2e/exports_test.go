// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"

	. "github.com/onsi/gomega"

	"github.com/mre-operator/mre-operator/internal/media/timecode"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// exported is what the tests read of MRE's event export.
type exported struct {
	Event struct {
		Name, Program    string
		AudioTracksFound []int
	}
	Segments []struct {
		Start, End            json.Number
		OptoStart, OptoEnd    map[string]json.Number
		OriginalClipLocation  map[string]string
		OptimizedClipLocation map[string]string
	}
}

// edlEdit is a line of a CMX 3600 list: number, reel, channels, cut, source in and out, record in and out.
var edlEdit = regexp.MustCompile(`(?m)^\d{3}  AX +\S+ +C +(\S+) (\S+) (\S+) (\S+)$`)

// checkExports reads both exports back.
func (a *area) checkExports(r run) {
	a.Helper()
	a.Expect(r.state.ExportLocation).NotTo(BeNil())
	text, err := os.ReadFile(a.download(r.uid, *r.state.ExportLocation))
	a.Expect(err).NotTo(HaveOccurred())
	var e exported
	a.Expect(json.Unmarshal(text, &e)).To(Succeed())
	a.Expect(e.Event.Program).To(Equal("End to end"))
	a.Expect(e.Event.AudioTracksFound).To(Equal([]int{1}))
	a.Expect(e.Segments).To(HaveLen(len(r.segments)))

	a.Expect(r.state.EdlLocations).To(HaveLen(1))
	list, err := os.ReadFile(a.download(r.uid, r.state.EdlLocations[0]))
	a.Expect(err).NotTo(HaveOccurred())
	edits := edlEdit.FindAllStringSubmatch(string(list), -1)
	a.Expect(edits).To(HaveLen(len(r.segments)), "edits in\n%s", list)

	rate := timeline.Rational{Num: r.state.Timeline.Rate.Num, Den: r.state.Timeline.Rate.Den}
	record := int64(0)
	for i, s := range r.segments {
		a.Expect(e.Segments[i].Start.String()).To(Equal(decimal(s.In.Micros)))
		a.Expect(e.Segments[i].End.String()).To(Equal(decimal(s.Out.Micros)))
		a.Expect(e.Segments[i].OriginalClipLocation).To(HaveKeyWithValue("1", MatchRegexp(`^s3://.*\.mp4$`)))
		in, out := s.In, *s.Out
		if len(s.Optimized) > 0 {
			in, out = s.Optimized[0].In, s.Optimized[0].Out
			a.Expect(e.Segments[i].OptoStart).To(HaveKeyWithValue("1", json.Number(decimal(in.Micros))))
			a.Expect(e.Segments[i].OptoEnd).To(HaveKeyWithValue("1", json.Number(decimal(out.Micros))))
			a.Expect(e.Segments[i].OptimizedClipLocation).To(HaveKeyWithValue("1", MatchRegexp(`^s3://.*\.mp4$`)))
		}
		length := out.Frame - in.Frame
		for j, want := range []int64{in.Frame, out.Frame, record, record + length} {
			got, err := timecode.Parse(edits[i][j+1], rate)
			a.Expect(err).NotTo(HaveOccurred())
			a.Expect(got).To(Equal(want), "time code %d of edit %d in\n%s", j+1, i+1, list)
		}
		record += length
	}
}

// decimal writes microseconds as the export does: seconds with three decimals, as MRE has them, or as many as
// the time needs.
func decimal(micros int64) string {
	whole := fmt.Sprintf("%d.%06d", micros/1_000_000, micros%1_000_000)
	milliseconds := len(whole) - 3
	return whole[:milliseconds] + strings.TrimRight(whole[milliseconds:], "0")
}
