// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/cenkalti/backoff/v5"

	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// Download writes an object of an Event to a file, as a person with a viewer's rights would.
func (c *Cluster) Download(ctx context.Context, d *client.Client, uid, location, path string) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		url, err := d.DownloadURL(ctx, uid, location)
		if err != nil {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, c.fetch(ctx, url, path)
	}, backoff.WithMaxElapsedTime(patience))
	if err != nil {
		return fmt.Errorf("download %s: %w", location, err)
	}
	return nil
}

// fetch writes to a temporary file first: a file that is there is whole.
func (c *Cluster) fetch(ctx context.Context, url, path string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return backoff.Permanent(err)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		err := fmt.Errorf("the object store answers %s", response.Status)
		if response.StatusCode < http.StatusInternalServerError {
			return backoff.Permanent(err)
		}
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".download-*")
	if err != nil {
		return backoff.Permanent(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	if _, err := io.Copy(file, response.Body); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := errors.Join(file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
