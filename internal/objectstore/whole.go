// SPDX-License-Identifier: Apache-2.0

package objectstore

import (
	"context"
	"errors"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3response"
)

// wholeBodies refuses uploads that are shorter than their Content-Length. The gateway takes the end of a
// connection for the end of the body, so the upload of a process that is killed would be stored as far as it
// had come.
type wholeBodies struct{ *posix.Posix }

// PutObject stores an object, or nothing.
func (b wholeBodies) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	in.Body = whole(in.Body, in.ContentLength)
	return b.Posix.PutObject(ctx, in)
}

// UploadPart stores a part, or nothing.
func (b wholeBodies) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	in.Body = whole(in.Body, in.ContentLength)
	return b.Posix.UploadPart(ctx, in)
}

// whole leaves bodies in signed chunks alone: each chunk has a length of its own, and the last one is empty.
func whole(body io.Reader, length *int64) io.Reader {
	if _, chunked := body.(middlewares.ChecksumReader); chunked || body == nil || length == nil {
		return body
	}
	return &wholeReader{body: body, left: *length}
}

// errCutOff is not io.ErrUnexpectedEOF, which the gateway takes for the last, shorter block of a file.
var errCutOff = errors.New("the upload ended before its Content-Length")

// wholeReader ends with errCutOff when bytes are missing.
type wholeReader struct {
	body io.Reader
	left int64
}

func (r *wholeReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.left -= int64(n)
	if errors.Is(err, io.EOF) && r.left > 0 {
		return n, errCutOff
	}
	return n, err
}
