// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Bucket is what MRE plugins see as the bucket of the chunks. There is none: the façade knows the keys.
const Bucket = "mre"

// ExecutionID is MRE's name of all that is run on a chunk.
func ExecutionID(plan *api.Plan, chunk int64) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s/%d", plan.Event.UID, chunk)).String()
}

// MediaName is the file name of a chunk. It ends in the chunk's number and one extension, as MRE plugins expect.
func MediaName(plan *api.Plan, chunk int64) string {
	return fmt.Sprintf("%s_%s_1_%05d.ts", fileName(plan.Event.Program), fileName(plan.Event.Name), chunk)
}

func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, s)
}

// MediaKey is the key under which MRE would have stored a chunk.
func MediaKey(plan *api.Plan, name string) string {
	part := strings.NewReplacer("/", "-")
	return strings.Join([]string{plan.Event.UID, part.Replace(plan.Event.Program), part.Replace(plan.Event.Name),
		part.Replace(plan.Event.Profile), name}, "/")
}

// MREClass is MRE's word for a class: its Classifier is our Segmenter.
func MREClass(c api.PlanPluginClass) string {
	if c == api.PlanPluginClassSegmenter {
		return "Classifier"
	}
	return string(c)
}
