// SPDX-License-Identifier: Apache-2.0

package ffmpeg

import (
	"path/filepath"
	"strings"
)

// Input returns the arguments, up to and including -i, that open a path or
// URL. Network inputs may not refer back to local files, whatever a playlist
// on the other side says, and HTTP reads survive a broken connection.
func Input(source string, options ...string) []string {
	scheme, _, isURL := strings.Cut(source, "://")
	switch {
	case isURL && (scheme == "http" || scheme == "https"):
		args := []string{
			"-protocol_whitelist", "http,https,tls,tcp,crypto,data",
			"-rw_timeout", "30000000",
			"-reconnect", "1", "-reconnect_on_network_error", "1", "-reconnect_delay_max", "4",
		}
		return append(append(args, options...), "-i", source)
	case isURL && scheme == "file":
		return append(append([]string{"-protocol_whitelist", "file"}, options...), "-i", source)
	case isURL:
		return append(append([]string{"-protocol_whitelist", "udp,rtp,srt,rtmp,rtmps,tcp,tls,crypto"}, options...),
			"-i", source)
	case strings.HasPrefix(source, "pipe:"):
		return append(append([]string{}, options...), "-i", source)
	}
	// "file:" keeps a name with a colon or a leading dash from being read as
	// a protocol or an option.
	return append(append([]string{"-protocol_whitelist", "file"}, options...), "-i", "file:"+filepath.Clean(source))
}
