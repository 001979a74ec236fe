// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// certificateLook is how often a certificate that was replaced is looked for. Nodes run out of file watches, so the
// file system's word is not waited for.
const certificateLook = 10 * time.Second

// WithTLS serves the certificate of a folder with tls.crt and tls.key, and the next one once it is there.
func WithTLS(ctx context.Context, listener net.Listener, folder string) (net.Listener, error) {
	watcher, err := certwatcher.New(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	go func() {
		for ctx.Err() == nil {
			sleep(ctx, certificateLook)
			if err := watcher.ReadCertificate(); err != nil {
				slog.ErrorContext(ctx, "the certificate cannot be read; the one before is served", "error", err)
			}
		}
	}()
	return tls.NewListener(listener,
		&tls.Config{GetCertificate: watcher.GetCertificate, MinVersion: tls.VersionTLS13}), nil
}
