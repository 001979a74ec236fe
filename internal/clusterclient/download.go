// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// Download writes an object of an Event to a file, as a person with a viewer's rights would.
func (c *Cluster) Download(ctx context.Context, d *client.Client, uid, location, path string) error {
	_, err := Downloader{HTTP: c.HTTP, DataPlane: d, Patience: c.Patience}.Get(ctx,
		Download{UID: uid, Location: location, Path: path})
	return err
}

// Downloader gets objects of Events over signed URLs. It never tells one: whoever reads it could use it.
type Downloader struct {
	// HTTP reaches the object store.
	HTTP *http.Client
	// DataPlane signs the URLs.
	DataPlane *client.Client
	// Patience bounds how long an object store that does not answer is asked again.
	Patience time.Duration
}

// Download is an object of an Event and where it goes.
type Download struct {
	UID, Location, Path string
	// Size is what the object has; 0 when it is not known. A file of that size is taken for the object, and a
	// download that was cut off goes on where it ended.
	Size int64
	// Progress, when there is one, is told how many bytes are there, of this try and those before.
	Progress func(bytes int64)
}

// Get writes the object to its file, which is whole once it is there. It says whether it was there before.
func (d Downloader) Get(ctx context.Context, w Download) (present bool, err error) {
	if w.Progress == nil {
		w.Progress = func(int64) {}
	}
	if info, err := os.Stat(w.Path); w.Size > 0 && err == nil && info.Mode().IsRegular() && info.Size() == w.Size {
		w.Progress(w.Size)
		return true, nil
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		signed, err := d.DataPlane.DownloadURL(ctx, w.UID, w.Location)
		if err != nil {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, d.fetch(ctx, signed, w)
	}, backoff.WithMaxElapsedTime(d.Patience))
	if err != nil {
		return false, fmt.Errorf("download %s: %w", w.Location, err)
	}
	return false, nil
}

// Partial is the file of a download that has not ended. It carries the object's name: another object never goes on
// where this one ended.
func (w Download) Partial() string {
	sum := sha256.Sum256([]byte(w.Location))
	return filepath.Join(filepath.Dir(w.Path), "."+filepath.Base(w.Path)+"."+hex.EncodeToString(sum[:4])+".part")
}

// fetch writes to a partial file first: a file that is there is whole.
func (d Downloader) fetch(ctx context.Context, signed string, w Download) (err error) {
	file, err := os.OpenFile(w.Partial(), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return backoff.Permanent(err)
	}
	defer func() {
		if cerr := file.Close(); err == nil && cerr != nil {
			err = cerr
		}
		switch {
		case err == nil:
			err = os.Rename(file.Name(), w.Path)
		case w.Size == 0:
			_ = os.Remove(file.Name()) // nobody could go on with it
		}
	}()
	have, err := d.resumeAt(file, w)
	if err != nil {
		return backoff.Permanent(err)
	}
	if w.Size > 0 && have == w.Size {
		w.Progress(have)
		return nil
	}
	response, err := d.request(ctx, signed, have)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK && have > 0 {
		have = 0 // the store sends all of it again
		if err := errors.Join(file.Truncate(0), rewind(file)); err != nil {
			return backoff.Permanent(err)
		}
	}
	total := have
	_, err = io.Copy(file, readerFunc(func(p []byte) (int, error) {
		n, err := response.Body.Read(p)
		total += int64(n)
		w.Progress(total)
		return n, err
	}))
	if err != nil {
		return hideURL(err)
	}
	if w.Size > 0 && total != w.Size {
		_ = file.Truncate(0) // whatever it is, it is not the object
		return fmt.Errorf("the object store sent %d bytes of %d", total, w.Size)
	}
	return nil
}

// resumeAt is where the download goes on: at the end of what an earlier one left.
func (d Downloader) resumeAt(file *os.File, w Download) (int64, error) {
	at, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if w.Size > 0 && at <= w.Size {
		return at, nil
	}
	return 0, errors.Join(file.Truncate(0), rewind(file))
}

func rewind(file *os.File) error {
	_, err := file.Seek(0, io.SeekStart)
	return err
}

func (d Downloader) request(ctx context.Context, signed string, from int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, signed, nil)
	if err != nil {
		return nil, backoff.Permanent(hideURL(err))
	}
	wanted := http.StatusOK
	if from > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		wanted = http.StatusPartialContent
	}
	response, err := d.HTTP.Do(request)
	if err != nil {
		return nil, hideURL(err)
	}
	if response.StatusCode == wanted || response.StatusCode == http.StatusOK {
		return response, nil
	}
	err = errors.Join(fmt.Errorf("the object store answers %s", response.Status), response.Body.Close())
	if response.StatusCode < http.StatusInternalServerError {
		return nil, backoff.Permanent(err)
	}
	return nil, err
}

// hideURL takes the signed URL out of an error.
func hideURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
