// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// FFmpeg copies the packets that an edit list hides, and does not tell them
// apart. So the index itself says whether there are any.

const (
	// maxBoxes of the top level are looked at, maxIndex bytes of index read.
	maxBoxes = 1000
	maxIndex = 512 << 20
	// indexSilence is how long a server may send nothing of an index.
	indexSilence = 30 * time.Second
)

func isMP4(container string) bool { return strings.HasPrefix(container, "mov,") }

// readIndex begins to read the index of an MP4 beside whatever else looks at
// it. The index is nil where it cannot be read on its own.
func readIndex(ctx context.Context, source string) <-chan *mp4.MoovBox {
	out := make(chan *mp4.MoovBox, 1)
	go func() {
		var moov *mp4.MoovBox
		defer func() {
			// The library is not made for damaged files.
			if recover() != nil {
				moov = nil
			}
			out <- moov
		}()
		r, closer, err := piecesOf(ctx, source)
		if err != nil {
			return
		}
		defer closer.Close()
		moov, _ = readMoov(r)
	}()
	return out
}

// editList says what the edit list of a stream hides; empty when it hides
// nothing.
func editList(moov *mp4.MoovBox, stream int) (hides string) {
	defer func() {
		if recover() != nil {
			hides = ""
		}
	}()
	if moov == nil || stream >= len(moov.Traks) || moov.Mvhd == nil || moov.Mvhd.Timescale == 0 {
		return ""
	}
	return hidden(moov.Traks[stream], int64(moov.Mvhd.Timescale))
}

// hidden judges the edit list of a track. (ISO/IEC 14496-12, 8.6.6)
func hidden(trak *mp4.TrakBox, movieScale int64) string {
	if trak.Edts == nil || len(trak.Edts.Elst) == 0 || trak.Mdia == nil || trak.Mdia.Mdhd == nil || trak.Mdia.Minf == nil {
		return ""
	}
	stbl, scale := trak.Mdia.Minf.Stbl, int64(trak.Mdia.Mdhd.Timescale)
	if stbl == nil || stbl.Stts == nil || len(stbl.Stts.SampleCount) == 0 || scale == 0 {
		return ""
	}
	var end int64
	for i, n := range stbl.Stts.SampleCount {
		end += int64(n) * int64(stbl.Stts.SampleTimeDelta[i])
	}
	frame, begin := int64(stbl.Stts.SampleTimeDelta[0]), int64(0)
	if stbl.Ctts != nil && stbl.Ctts.NrSampleCount() > 0 {
		begin = int64(stbl.Ctts.GetCompositionTimeOffset(1))
		end += begin
	}
	edits := 0
	for _, e := range trak.Edts.Elst[0].Entries {
		if e.MediaTime < 0 {
			continue
		}
		edits++
		length := timeline.MulDiv(int64(e.SegmentDuration), scale, movieScale)
		rounding := scale/movieScale + 1
		switch {
		case edits > 1:
			return "the edit list joins several parts"
		case e.MediaRateInteger != 1:
			return "the edit list changes the speed"
		case e.MediaTime > begin+frame/2:
			return fmt.Sprintf("the edit list hides the first %.2f s", float64(e.MediaTime-begin)/float64(scale))
		case length > 0 && e.MediaTime+length < end-frame/2-rounding:
			return fmt.Sprintf("the edit list hides the last %.2f s", float64(end-e.MediaTime-length)/float64(scale))
		}
	}
	return ""
}

// readMoov finds the index among the boxes of the top level.
func readMoov(r pieces) (*mp4.MoovBox, error) {
	at := int64(0)
	for range maxBoxes {
		head, err := read(r, at, 16)
		if err != nil || len(head) < 8 {
			return nil, fmt.Errorf("read the box at %d: %w", at, cmp.Or(err, io.ErrUnexpectedEOF))
		}
		size := int64(binary.BigEndian.Uint32(head))
		if size == 1 && len(head) == 16 {
			size = int64(binary.BigEndian.Uint64(head[8:]))
		}
		if size < 8 || size > 1<<62-at {
			return nil, errNoIndex
		}
		if string(head[4:8]) == "moov" {
			return decodeMoov(r, at, size)
		}
		at += size
	}
	return nil, errNoIndex
}

var errNoIndex = errors.New("the file has no index")

func decodeMoov(r pieces, at, size int64) (*mp4.MoovBox, error) {
	if size > maxIndex {
		return nil, errors.New("the index is too large")
	}
	body, err := read(r, at, size)
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	box, err := mp4.DecodeBox(uint64(at), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	moov, ok := box.(*mp4.MoovBox)
	if !ok {
		return nil, errNoIndex
	}
	return moov, nil
}

// read reads n bytes, or as many as there are: a damaged size must not take
// memory for what does not come.
func read(r pieces, at, n int64) ([]byte, error) {
	body, err := r.open(at, n)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, n))
}

// pieces is a source that can be read in parts.
type pieces interface {
	open(at, n int64) (io.ReadCloser, error)
}

// piecesOf opens a file, or a URL whose server answers range requests.
func piecesOf(ctx context.Context, source string) (pieces, io.Closer, error) {
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		return ranges{ctx, source, indexSilence}, io.NopCloser(nil), nil
	}
	f, err := os.Open(strings.TrimPrefix(source, "file://"))
	if err != nil {
		return nil, nil, err
	}
	return file{f}, f, nil
}

type file struct{ *os.File }

func (f file) open(at, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(f.File, at, n)), nil
}

// ranges reads parts of a URL.
type ranges struct {
	ctx     context.Context
	url     string
	silence time.Duration
}

func (r ranges) open(at, n int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(r.ctx)
	body := &impatient{silence: r.silence, cancel: cancel, timer: time.AfterFunc(r.silence, cancel)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, http.NoBody)
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, at+n-1))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	body.ReadCloser = res.Body
	if res.StatusCode != http.StatusPartialContent {
		_ = body.Close()
		return nil, fmt.Errorf("the server answers a range request with %s", res.Status)
	}
	return body, nil
}

// impatient is an answer that ends when nothing comes for too long.
type impatient struct {
	io.ReadCloser
	silence time.Duration
	cancel  context.CancelFunc
	timer   *time.Timer
}

// Read implements io.Reader.
func (p *impatient) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.timer.Reset(p.silence)
	return n, err
}

// Close implements io.Closer.
func (p *impatient) Close() error {
	p.timer.Stop()
	p.cancel()
	if p.ReadCloser == nil {
		return nil
	}
	return p.ReadCloser.Close()
}
