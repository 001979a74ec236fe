// SPDX-License-Identifier: Apache-2.0

// Package scratch finds room for the files of tests that only kill processes: what they write never has to survive a
// power cut.
package scratch

import "syscall"

// shared is where Linux keeps files in memory.
const shared = "/dev/shm"

// Memory is a folder whose files are in memory, where there is one with so many bytes to spare; empty, which stands
// for the usual folder of temporary files, elsewhere.
func Memory(bytes uint64) string {
	var at syscall.Statfs_t
	if syscall.Statfs(shared, &at) != nil || at.Bavail*uint64(at.Bsize) < bytes {
		return ""
	}
	return shared
}
