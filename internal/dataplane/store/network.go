// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// isNetwork says that a connection broke.
func isNetwork(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, broken) {
			return true
		}
	}
	return false
}
