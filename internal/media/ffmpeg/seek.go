// SPDX-License-Identifier: Apache-2.0

package ffmpeg

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"slices"
	"strings"
)

// partialFile is what the demuxer of MP4 says where it finds nothing at a
// place that the index names.
const partialFile = ": partial file"

// notSeekable tells an MP4 whose index is at its end, on a server that cannot
// seek, from one that is cut off: FFmpeg says the same of both, and may even
// end as if the source had nothing in it.
func notSeekable(ctx context.Context, args []string, said string) bool {
	if !strings.Contains(said, partialFile) {
		return false
	}
	i := slices.Index(args, "-i")
	if i < 0 || i+1 == len(args) || !strings.HasPrefix(args[i+1], "http://") && !strings.HasPrefix(args[i+1], "https://") {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[i+1], http.NoBody)
	if err != nil {
		return false
	}
	req.Header.Set("Range", "bytes=1-")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	// Whoever knows parts answers 206.
	return res.StatusCode == http.StatusOK && indexAtEnd(res.Body)
}

// maxBoxes are looked at before the media; there are two or three.
const maxBoxes = 16

// indexAtEnd says whether an MP4's media (mdat) comes before its index (moov).
func indexAtEnd(r io.Reader) bool {
	in := bufio.NewReader(r)
	for range maxBoxes {
		var head [8]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return false
		}
		switch string(head[4:]) {
		case "mdat":
			return true
		case "moov":
			return false
		}
		size := int64(binary.BigEndian.Uint32(head[:4]))
		if size < int64(len(head)) {
			return false
		}
		if _, err := io.CopyN(io.Discard, in, size-int64(len(head))); err != nil {
			return false
		}
	}
	return false
}
