// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// deleteBatch is how many keys S3 takes in one call.
const deleteBatch = 1000

// Put stores a small object, over what is there.
func (b *Bucket) Put(ctx context.Context, key, contentType string, body []byte) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: b.full(key), ContentType: &contentType, Body: bytes.NewReader(body),
	})
	return b.wrap("store", key, err)
}

// Get opens an object. The caller closes it.
func (b *Bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: b.full(key)})
	if err != nil {
		return nil, b.wrap("read", key, err)
	}
	return out.Body, nil
}

// Head describes an object.
func (b *Bucket) Head(ctx context.Context, key string) (Info, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: b.full(key)})
	if err != nil {
		return Info{}, b.wrap("look at", key, err)
	}
	return Info{Key: key, Bytes: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}, nil
}

// List goes through the objects below a prefix, by key. It ends at the first error.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: b.full(prefix)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Info{}, b.wrap("list", prefix, err))
				return
			}
			for _, object := range page.Contents {
				info := Info{Key: b.relative(aws.ToString(object.Key)),
					Bytes: aws.ToInt64(object.Size), Modified: aws.ToTime(object.LastModified)}
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

// Folders names what comes next below a prefix that ends with a slash, each without it and without its own slash.
func (b *Bucket) Folders(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{
		Bucket: &b.name, Prefix: b.full(prefix), Delimiter: aws.String("/"),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.wrap("list", prefix, err)
		}
		for _, common := range page.CommonPrefixes {
			name := strings.TrimPrefix(b.relative(aws.ToString(common.Prefix)), prefix)
			names = append(names, strings.TrimSuffix(name, "/"))
		}
	}
	return names, nil
}

// Delete removes objects. One that is not there is no error.
func (b *Bucket) Delete(ctx context.Context, keys []string) error {
	for batch := range slices.Chunk(keys, deleteBatch) {
		ids := make([]types.ObjectIdentifier, len(batch))
		for i, key := range batch {
			ids[i] = types.ObjectIdentifier{Key: b.full(key)}
		}
		out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
			Bucket: &b.name, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
		})
		if err != nil {
			return b.unavailable(fmt.Sprintf("delete %d objects of bucket %s", len(batch), b.name), err)
		}
		var failed []error
		for _, one := range out.Errors {
			if aws.ToString(one.Code) == "NoSuchKey" {
				continue
			}
			failed = append(failed, fmt.Errorf("delete s3://%s/%s: %w: %s", b.name,
				aws.ToString(one.Key), ErrUnavailable, aws.ToString(one.Message)))
		}
		if len(failed) > 0 {
			return errors.Join(failed...)
		}
	}
	return nil
}

func (b *Bucket) full(key string) *string { return aws.String(b.prefix + key) }

func (b *Bucket) relative(full string) string { return strings.TrimPrefix(full, b.prefix) }
