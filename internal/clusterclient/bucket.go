// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// rootSecret holds the keys of the embedded object store. Only an administrator of the install
	// namespace can read it.
	rootSecret    = "mre-objectstore"
	accessKeyName = "accessKey"
	secretKeyName = "secretKey"
	// hashMetadata is the metadata of an upload that says what is in it.
	hashMetadata = "sha256"
)

// Bucket is the install's bucket with an administrator's rights: the embedded
// object store's own keys, read from its Secret.
type Bucket struct {
	Name string
	s3   *s3.Client
}

// Bucket opens a bucket of the install's embedded object store.
func (c *Cluster) Bucket(ctx context.Context, name string) (*Bucket, error) {
	var secret corev1.Secret
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: rootSecret}, &secret); err != nil {
		return nil, fmt.Errorf("read the object store's keys from Secret %s/%s: %w", c.Namespace, rootSecret, err)
	}
	access, secretKey := string(secret.Data[accessKeyName]), string(secret.Data[secretKeyName])
	if access == "" || secretKey == "" {
		return nil, fmt.Errorf("the Secret %s/%s has no %s or no %s", c.Namespace, rootSecret, accessKeyName, secretKeyName)
	}
	return &Bucket{Name: name, s3: s3.New(s3.Options{
		BaseEndpoint: aws.String(fmt.Sprintf("http://mre-objectstore.%s.svc:7070", c.Namespace)),
		Region:       "us-east-1",
		UsePathStyle: true,
		HTTPClient:   c.HTTP,
		Credentials:  credentials.NewStaticCredentialsProvider(access, secretKey, ""),
	})}, nil
}

// Upload stores a file under a key, unless the same bytes are there already, and returns its s3:// location.
func (b *Bucket) Upload(ctx context.Context, path, key string) (string, error) {
	location := "s3://" + b.Name + "/" + key
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("upload: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if head, err := b.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.Name, Key: &key}); err == nil &&
		head.Metadata[hashMetadata] == sum {
		return location, nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if _, err := transfermanager.New(b.s3).UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: &b.Name, Key: &key, Body: file, Metadata: map[string]string{hashMetadata: sum},
	}); err != nil {
		return "", fmt.Errorf("upload %s to %s: %w", path, location, err)
	}
	return location, nil
}

// Keys lists the objects below a prefix.
func (b *Bucket) Keys(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(b.s3, &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list s3://%s/%s: %w", b.Name, prefix, err)
		}
		for i := range page.Contents {
			keys = append(keys, aws.ToString(page.Contents[i].Key))
		}
	}
	return keys, nil
}

// Read returns a small object.
func (b *Bucket) Read(ctx context.Context, key string) ([]byte, error) {
	out, err := b.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.Name, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", b.Name, key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", b.Name, key, err)
	}
	return body, nil
}

// KeyOf is the key of an s3:// location of this bucket.
func (b *Bucket) KeyOf(location string) (string, error) {
	key, ok := strings.CutPrefix(location, "s3://"+b.Name+"/")
	if !ok {
		return "", fmt.Errorf("%s is not in the bucket %s", location, b.Name)
	}
	return key, nil
}
