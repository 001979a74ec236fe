// SPDX-License-Identifier: Apache-2.0

// Package source reads sources of media for FFmpeg.
//
// Recordings are joined byte after byte, and FFmpeg cannot read a clock that
// jumps. So the containers of which parts can be joined are read here, and
// FFmpeg gets them on its standard input. MPEG transport streams and FLV carry
// the clock of whoever sent them: one programme is taken, and joins are closed.
// In Matroska and fragmented MP4 the container's times count, and holes stay:
// only what goes back in time is moved. Any other source FFmpeg opens itself,
// among them MP4 whose fragments are so long that it has to seek in them.
package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// Container is the kind of a source.
type Container int

// Containers. FFmpeg opens Other itself. WebM is Matroska.
const (
	Other Container = iota
	TS
	FLV
	Matroska
	// FragmentedMP4 is an MP4 whose samples are told of in movie fragments.
	FragmentedMP4
)

// Options say how a source is read.
type Options struct {
	// Programme is the number of the programme that is taken of a transport
	// stream; 0 is the first that has a picture.
	Programme int
	// Joined, if set, is called for each join, in each reading, by whoever
	// reads.
	Joined func(Join)
	// Ended, if set, is called at the end of a fragmented MP4, with where its
	// pictures end by what it says of the last ones: FFmpeg does not hear of
	// that in a pipe before. Ticks are as those of joins.
	Ended func(ticks int64)
}

// ErrNoProgramme means that a transport stream lacks the programme that was asked for.
var ErrNoProgramme = errors.New("the source has no programme")

// Source is an opened source: what it is, and how FFmpeg reads it. It may be
// read any number of times, each from the start.
type Source struct {
	url       string
	container Container
	options   Options
	tables    *tables
	shapes    []Shape
	limits    limits
}

const (
	// sniffBytes is looked at to know the container.
	sniffBytes = 64 << 10
	// nameBytes is how far names of programmes are looked for, tableBytes is
	// what the tables of a transport stream must lie in.
	nameBytes  = sniffBytes / 2
	tableBytes = 4 << 20
)

// Open looks at the first bytes of a source.
func Open(ctx context.Context, url string, o Options) (*Source, error) {
	return open(ctx, url, o, usualLimits)
}

func open(ctx context.Context, url string, o Options, l limits) (*Source, error) {
	s := &Source{url: url, options: o, limits: l}
	if !s.readable() {
		return s, nil
	}
	r, err := s.reader(ctx, sniffBytes)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	head := make([]byte, sniffBytes)
	n, err := io.ReadFull(r, head)
	switch head = head[:n]; {
	case n == 0 && errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read %s: %w", ffmpeg.Redact(url), ffmpeg.ErrEmpty)
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, err
	}
	s.container = containerOf(head)
	switch {
	case s.container == Matroska:
		s.shapes = shapesOf(head)
	case s.container == Other && isMP4(head) && fragmentedMP4(io.MultiReader(bytes.NewReader(head), r)):
		s.container = FragmentedMP4
	}
	if s.container != TS {
		return s, nil
	}
	s.tables, err = readTables(io.MultiReader(bytes.NewReader(head), r))
	if err != nil {
		return nil, err
	}
	if _, ok := s.tables.choose(o.Programme); o.Programme != 0 && (!ok || !s.has(o.Programme)) {
		return nil, fmt.Errorf("%w %d, or no map of it: it has %s", ErrNoProgramme, o.Programme, s.list())
	}
	return s, nil
}

// readable says whether this package can read the source; FFmpeg has its own
// ways with live protocols.
func (s *Source) readable() bool {
	scheme, _, isURL := strings.Cut(s.url, "://")
	switch {
	case isURL:
		return scheme == "http" || scheme == "https" || scheme == "file"
	case strings.HasPrefix(s.url, "pipe:"):
		return false
	}
	// A pipe in the file system could be read once only.
	info, err := os.Stat(s.url)
	return err != nil || info.Mode().IsRegular() || info.IsDir()
}

// reader reads the source from its start. What pieces the network is asked for
// matters only where little is read.
func (s *Source) reader(ctx context.Context, piece int64) (io.ReadCloser, error) {
	if strings.HasPrefix(s.url, "http://") || strings.HasPrefix(s.url, "https://") {
		r, err := openHTTP(ctx, s.url, s.limits, piece)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	f, err := os.Open(strings.TrimPrefix(s.url, "file://"))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("%w: %w", ffmpeg.ErrNotFound, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %w", ffmpeg.ErrForbidden, err)
	case err != nil:
		return nil, fmt.Errorf("open the source: %w", err)
	}
	return &fileReader{ctx: ctx, File: f}, nil
}

// fileReader is a file that is read under a context.
type fileReader struct {
	ctx context.Context
	*os.File
}

// Read reads while the context lives.
func (f *fileReader) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

// others are the first bytes of containers in which packets of a transport
// stream could be seen by chance.
var others = []string{"RIFF", "OggS", "#EXTM3U",
	"\x30\x26\xb2\x75", "\x06\x0e\x2b\x34", "\x00\x00\x01\xba"}

// boxes are those that an MP4 or MOV may begin with.
var boxes = []string{"ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "styp"}

func isMP4(head []byte) bool { return len(head) >= 8 && slices.Contains(boxes, string(head[4:8])) }

func containerOf(head []byte) Container {
	switch {
	case bytes.HasPrefix(head, flvMagic):
		return FLV
	case bytes.HasPrefix(head, ebmlMagic):
		return Matroska
	}
	for _, magic := range others {
		if bytes.HasPrefix(head, []byte(magic)) {
			return Other
		}
	}
	if isMP4(head) {
		return Other
	}
	if packetStart(head) {
		return TS
	}
	return Other
}

// readTables reads until the map of each programme is known.
func readTables(r io.Reader) (*tables, error) {
	t := newTables()
	p := newPackets(r)
	for read := 0; read < tableBytes && (read < nameBytes || !t.complete()); {
		b, err := p.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		read += p.stride
		pid := (uint16(b[1])<<8 | uint16(b[2])) & 0x1fff
		if payload := payloadOf(b); payload != nil && b[1]&0x80 == 0 && t.isTable(pid) {
			t.add(pid, payload, b[1]&0x40 != 0)
		}
	}
	return t, nil
}

func (s *Source) has(number int) bool {
	for _, p := range s.tables.services {
		if p.number == number {
			return true
		}
	}
	return false
}

// list names the programmes for people.
func (s *Source) list() string {
	var names []string
	for _, p := range s.Programmes() {
		name := strconv.Itoa(p.Number)
		if p.Name != "" {
			name += " (" + p.Name + ")"
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Container is what the first bytes show.
func (s *Source) Container() Container { return s.container }

// Programmes lists the programmes of a transport stream.
func (s *Source) Programmes() []Programme {
	if s.tables == nil {
		return nil
	}
	return s.tables.programmes()
}

// Input returns FFmpeg's arguments up to and including -i, and what to feed to
// its standard input: nil where FFmpeg opens the source itself. Each call
// starts anew, at the first byte. Options go before -i.
//
// Without -copyts FFmpeg closes holes of more than 10 s in a single stream of
// a transport stream, and moves all others with it.
func (s *Source) Input(ctx context.Context, options ...string) ([]string, io.ReadCloser, error) {
	if s.container == Other {
		return ffmpeg.Input(s.url, options...), nil, nil
	}
	r, err := s.reader(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	format, in := "mpegts", io.ReadCloser(nil)
	switch s.container {
	case TS:
		in = newRetimer(r, s.tables, s.options)
	case FLV:
		format, in = "flv", newFLVRetimer(r, s.options)
	case FragmentedMP4:
		format, in = "mov", newFMP4Retimer(r, s.options)
	default:
		format, in = "matroska", newMatroskaRetimer(r, s.options)
	}
	args := append([]string{"-protocol_whitelist", "pipe", "-f", format}, options...)
	return append(args, "-i", "pipe:0"), in, nil
}
