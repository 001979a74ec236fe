// SPDX-License-Identifier: Apache-2.0

package signals_test

import (
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/signals"
)

func TestJoinRefuses(t *testing.T) {
	a := signals.Signals{Version: signals.Version, Frames: 10, Luma: make([]byte, 10),
		LastThumb: make([]byte, 4), FirstThumb: make([]byte, 4)}
	b := a
	b.FirstFrame = 5
	if _, err := signals.Join(a, b); err == nil {
		t.Error("overlapping signals were joined")
	}
	b.FirstFrame, b.Version = 10, signals.Version+1
	if _, err := signals.Join(a, b); err == nil {
		t.Error("signals of another version were joined")
	}
}
