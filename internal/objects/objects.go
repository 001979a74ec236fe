// SPDX-License-Identifier: Apache-2.0

// Package objects is the bucket that units, clips, reels and exports live in. It speaks S3 and nothing else,
// so that AWS S3, any compatible service and the embedded store are one code path.
package objects

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// noSuchBucket is S3's word for it, where an answer has a body.
const noSuchBucket = "NoSuchBucket"

var (
	// ErrNotFound says that there is no object under a key.
	ErrNotFound = errors.New("no such object")
	// ErrUnavailable says that the object store did not do what it was asked; a repeat may succeed.
	ErrUnavailable = errors.New("the object store refuses or does not answer")
	// ErrNoBucket says that the bucket does not exist. Such an error is ErrUnavailable, too: buckets come back.
	ErrNoBucket = errors.New("there is no such bucket")
	// ErrRefused says that the keys are not good for the bucket. Such an error is ErrUnavailable, too.
	ErrRefused = errors.New("the object store refuses the keys")
)

// Config says where the bucket is. Credentials are not part of it: they come from the SDK's default chain
// (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_SHARED_CREDENTIALS_FILE, a web identity, a node role).
type Config struct {
	// Bucket holds the objects; EnsureBucket makes it.
	Bucket string
	// Prefix stands before every key. Empty, or ends with a slash.
	Prefix string
	// Endpoint is where this process and the Jobs in the cluster reach the store; empty is AWS S3.
	Endpoint string
	// PublicEndpoint is where people reach the store; the host is part of a signature. Empty is Endpoint.
	PublicEndpoint string
	Region         string
	// PathStyle puts the bucket into the path instead of the host name. Most stores other than AWS S3 need it.
	PathStyle bool
	// ChecksumWhenRequired leaves out the checksums that newer SDKs add and some stores refuse.
	ChecksumWhenRequired bool
}

// Info describes a stored object.
type Info struct {
	Key      string
	Bytes    int64
	Modified time.Time
}

// Bucket is a client of one bucket. Keys never include the prefix.
type Bucket struct {
	name, prefix string
	client       *s3.Client
	// internal signs URLs for Jobs, public those for people.
	internal, public *s3.PresignClient
}

// Open makes a client. It talks to nobody yet.
func Open(ctx context.Context, c Config) (*Bucket, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	loaded, err := config.LoadDefaultConfig(ctx, config.WithRegion(c.Region))
	if err != nil {
		return nil, fmt.Errorf("load the credentials of the object store (set AWS_ACCESS_KEY_ID and "+
			"AWS_SECRET_ACCESS_KEY, or mount a credentials file): %w", err)
	}
	own := func(o *s3.Options) {
		o.UsePathStyle = c.PathStyle
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
		if c.ChecksumWhenRequired {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	}
	// A checksum in a presigned URL would be that of an empty body: whoever uploads has another one.
	signing := func(o *s3.Options) {
		own(o)
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	}
	public := func(o *s3.Options) {
		signing(o)
		if c.PublicEndpoint != "" {
			o.BaseEndpoint = aws.String(c.PublicEndpoint)
		}
	}
	return &Bucket{
		name: c.Bucket, prefix: c.Prefix,
		client:   s3.NewFromConfig(loaded, own),
		internal: s3.NewPresignClient(s3.NewFromConfig(loaded, signing)),
		public:   s3.NewPresignClient(s3.NewFromConfig(loaded, public)),
	}, nil
}

func (c Config) validate() error {
	if c.Bucket == "" {
		return errors.New("the bucket has no name")
	}
	if c.Region == "" {
		return errors.New("the bucket has no region; stores other than AWS S3 usually take us-east-1")
	}
	if c.Prefix != "" && (!strings.HasSuffix(c.Prefix, "/") || strings.HasPrefix(c.Prefix, "/")) {
		return fmt.Errorf("the key prefix %q must end with a slash and not start with one", c.Prefix)
	}
	for _, endpoint := range []string{c.Endpoint, c.PublicEndpoint} {
		if endpoint == "" {
			continue
		}
		u, err := url.Parse(endpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fmt.Errorf("the object store's endpoint %q must be a URL such as https://s3.example.com", endpoint)
		}
	}
	return nil
}

// EnsureBucket makes the bucket where it does not exist yet.
func (b *Bucket) EnsureBucket(ctx context.Context) error {
	_, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
	if err == nil {
		return nil
	}
	if !isNotFound(err) {
		return b.unavailable("look for bucket "+b.name, err)
	}
	input := &s3.CreateBucketInput{Bucket: &b.name}
	// AWS wants every region named but this one.
	if region := b.client.Options().Region; region != "us-east-1" {
		input.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(region),
		}
	}
	if _, err = b.client.CreateBucket(ctx, input); err != nil {
		if _, ok := errors.AsType[*types.BucketAlreadyOwnedByYou](err); ok {
			return nil
		}
		return b.unavailable("create bucket "+b.name, err)
	}
	return nil
}

// Look asks whether the bucket is there, without making it: one that vanished held something.
func (b *Bucket) Look(ctx context.Context) error {
	_, err := b.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
	switch {
	case err == nil:
		return nil
	case isNotFound(err): // the answer to HEAD has no body that could say more
		return fmt.Errorf("look for bucket %s: %w: %w", b.name, ErrUnavailable, ErrNoBucket)
	}
	return b.unavailable("look for bucket "+b.name, err)
}

// Location is the s3:// URL of a key.
func (b *Bucket) Location(key string) string { return "s3://" + b.name + "/" + b.prefix + key }

// Key is the reverse of Location. False says that the location lies in another bucket or outside the prefix.
func (b *Bucket) Key(location string) (string, bool) {
	return strings.CutPrefix(location, b.Location(""))
}

func isNotFound(err error) bool { return status(err) == http.StatusNotFound }

// status is what the store answered; 0 when it did not.
func status(err error) int {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return response.HTTPStatusCode()
	}
	return 0
}

// unavailable says what failed and, as far as it can be told, whose fault it is.
func (b *Bucket) unavailable(what string, err error) error {
	kind := ErrUnavailable
	if answer, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err); ok && answer.ErrorCode() == noSuchBucket {
		kind = fmt.Errorf("%w: %w", ErrUnavailable, ErrNoBucket)
	} else if s := status(err); s == http.StatusUnauthorized || s == http.StatusForbidden {
		kind = fmt.Errorf("%w: %w", ErrUnavailable, ErrRefused)
	}
	return fmt.Errorf("%s: %w: %w", what, kind, err)
}

// wrap says what failed, and for a missing object in a way that callers can test for.
func (b *Bucket) wrap(verb, key string, err error) error {
	if err == nil {
		return nil
	}
	failed := b.unavailable(verb+" "+b.Location(key), err)
	if isNotFound(err) && !errors.Is(failed, ErrNoBucket) {
		return fmt.Errorf("%s %s: %w", verb, b.Location(key), ErrNotFound)
	}
	return failed
}
