// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Upload is a signed PUT. Headers must be sent with it as they are.
type Upload struct {
	URL     string
	Headers map[string]string
}

// PresignGet signs a GET for a Job in the cluster.
func (b *Bucket) PresignGet(ctx context.Context, key string, lifetime time.Duration) (string, error) {
	return b.presignGet(ctx, b.internal, b.name, b.prefix+key, lifetime)
}

// PresignPublicGet signs a GET for people, on the public endpoint.
func (b *Bucket) PresignPublicGet(ctx context.Context, key string, lifetime time.Duration) (string, error) {
	return b.presignGet(ctx, b.public, b.name, b.prefix+key, lifetime)
}

// PresignSource signs a GET for a Job on any s3:// location that our credentials may read.
func (b *Bucket) PresignSource(ctx context.Context, location string, lifetime time.Duration) (string, error) {
	bucket, key, err := SplitLocation(location)
	if err != nil {
		return "", err
	}
	return b.presignGet(ctx, b.internal, bucket, key, lifetime)
}

func (b *Bucket) presignGet(ctx context.Context, by *s3.PresignClient,
	bucket, key string, lifetime time.Duration) (string, error) {
	request, err := by.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key},
		s3.WithPresignExpires(lifetime))
	if err != nil {
		return "", fmt.Errorf("sign a download of s3://%s/%s: %w: %w", bucket, key, ErrUnavailable, err)
	}
	return request.URL, nil
}

// PresignPutCreateOnly signs a PUT for a Job that the store refuses with 412 when the object exists.
func (b *Bucket) PresignPutCreateOnly(ctx context.Context,
	key, contentType string, lifetime time.Duration) (Upload, error) {
	request, err := b.internal.PresignPutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: b.full(key), IfNoneMatch: aws.String("*"), ContentType: &contentType,
	}, s3.WithPresignExpires(lifetime))
	if err != nil {
		return Upload{}, fmt.Errorf("sign an upload of %s: %w: %w", b.Location(key), ErrUnavailable, err)
	}
	return Upload{URL: request.URL, Headers: mustSend(request.SignedHeader)}, nil
}

// mustSend leaves out what every HTTP client sets by itself.
func mustSend(signed http.Header) map[string]string {
	headers := make(map[string]string, len(signed))
	for name, values := range signed {
		switch http.CanonicalHeaderKey(name) {
		case "Host", "Content-Length":
		default:
			headers[http.CanonicalHeaderKey(name)] = strings.Join(values, ",")
		}
	}
	return headers
}

// SplitLocation takes an s3:// URL apart.
func SplitLocation(location string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(location, "s3://")
	if ok {
		bucket, key, ok = strings.Cut(rest, "/")
	}
	if !ok || bucket == "" || key == "" {
		return "", "", fmt.Errorf("%q is not an object: write s3://BUCKET/KEY", redact(location))
	}
	return bucket, key, nil
}

// redact keeps a password or a signature that somebody put into a URL out of messages.
func redact(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "the location"
	}
	u.RawQuery = ""
	return u.Redacted()
}
