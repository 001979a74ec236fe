// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
)

// ErrSelection means that the user asks for something that the source does not have.
var ErrSelection = errors.New("the source does not have what the Event asks for")

// isEmpty tells an empty source from a damaged one.
func isEmpty(ctx context.Context, source string) bool {
	if !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://") {
		st, err := os.Stat(strings.TrimPrefix(source, "file://"))
		return err == nil && st.Size() == 0
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	n, err := io.CopyN(io.Discard, res.Body, 1)
	return res.StatusCode == http.StatusOK && n == 0 && errors.Is(err, io.EOF)
}
