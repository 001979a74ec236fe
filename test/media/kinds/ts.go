// SPDX-License-Identifier: Apache-2.0

package kinds

// packetBytes is the size of a transport packet.
const packetBytes = 188

// withoutPackets leaves out of a transport stream, for each of the given times (in microseconds from the first time
// stamp of PID 0x100, the pictures), one packet in the middle of a frame of the PID. It returns what is left and the
// time stamps before the packets that are not.
func withoutPackets(raw []byte, pid int, times ...int64) (out []byte, lost []int64) {
	zero, at := int64(-1), int64(-1)
	inside := 0
	for p := 0; p+packetBytes <= len(raw); p += packetBytes {
		packet := raw[p : p+packetBytes]
		is := int(packet[1]&0x1f)<<8 | int(packet[2])
		if pts, ok := stampOf(packet); ok {
			if is == 0x100 && zero < 0 {
				zero = pts
			}
			if is == pid {
				at, inside = (pts-zero)*100/9, 0
			}
		} else if is == pid {
			inside++
		}
		if is == pid && inside == 2 && zero >= 0 && len(lost) < len(times) && at >= times[len(lost)] {
			lost = append(lost, at)
			continue
		}
		out = append(out, packet...)
	}
	return out, lost
}

// stampOf is the presentation time stamp of a packet with which a frame begins.
func stampOf(packet []byte) (int64, bool) {
	if packet[1]&0x40 == 0 {
		return 0, false
	}
	pes := packet[4:]
	if packet[3]&0x20 != 0 {
		pes = pes[1+int(pes[0]):]
	}
	if len(pes) < 14 || pes[0] != 0 || pes[1] != 0 || pes[2] != 1 || pes[7]&0x80 == 0 {
		return 0, false
	}
	return int64(pes[9]>>1&7)<<30 | int64(pes[10])<<22 | int64(
		pes[11]>>1)<<15 | int64(pes[12])<<7 | int64(pes[13]>>1), true
}
