// SPDX-License-Identifier: Apache-2.0

package assemble

// Codes of the transfer characteristics of high dynamic range (ITU-T H.273).
const (
	transferPQ  = 16
	transferHLG = 18
)

// eightBits is the depth of all but HDR and a few cameras' pictures.
const eightBits = 8

func (p *plan) hdr() bool { return p.Shape.Transfer == transferPQ || p.Shape.Transfer == transferHLG }

// pixels keep the units' depth. Matrix, transfer and primaries are passed on by
// the pictures themselves; full range becomes limited range, which more players
// show right.
func (p *plan) pixels() []string {
	if p.Shape.Depth > eightBits {
		return []string{"-profile:v", "high10", "-pix_fmt", "yuv420p10le"}
	}
	return []string{"-profile:v", "high", "-pix_fmt", "yuv420p"}
}

// thumbnail makes a JPEG's picture of a film's: at most 640 wide, in the matrix
// and range that all readers of JPEG take for granted, and of standard dynamic
// range.
func (p *plan) thumbnail() string {
	scale := "scale='min(640,iw)':-2:out_color_matrix=bt601:out_range=full,format=yuvj420p"
	if p.hdr() {
		return "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0," +
			"zscale=t=bt709:m=bt709:r=limited,format=yuv420p," + scale
	}
	return scale
}
