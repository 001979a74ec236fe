// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// loopback asks the agent, never a proxy.
var loopback = &http.Client{Transport: &http.Transport{}}

// call asks the agent's API for plugins. The caller closes the body.
func call(ctx context.Context, method, path string, body any) (*http.Response, error) {
	base := os.Getenv("MRE_API")
	if base == "" {
		return nil, fmt.Errorf("%s %s: MRE_API is not set; frames, variables and prompts need the agent or mre plugin test",
			method, path)
	}
	return send(ctx, loopback, method, strings.TrimSuffix(base, "/")+"/"+path, body)
}

func callJSON(ctx context.Context, method, path string, body, into any) error {
	resp, err := call(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// send makes a request whose answer is good, or an error with what the server said.
func send(ctx context.Context, client *http.Client, method, address string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		defer resp.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, fmt.Errorf("%s %s: %s: %s", method, req.URL.Path, resp.Status, bytes.TrimSpace(said))
	}
	return resp, nil
}

// Format of a frame's pixels.
type Format string

// The formats: one byte for each pixel, or three.
const (
	Gray Format = "gray"
	RGB  Format = "rgb24"
)

// Frame is one picture. Pixels are row by row, and stay as they are only until the next frame is asked for.
type Frame struct {
	Start, End    Micros
	Width, Height int
	Pixels        []byte
}

// Frames are the pictures of the chunk at the Profile's processing rate, scaled to a width. There are none where no
// media came. They are decoded once for all plugins that ask for the same.
func (in *Input) Frames(ctx context.Context, width int, format Format) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		if in.Media == nil {
			return
		}
		query := url.Values{"width": {strconv.Itoa(width)}, "format": {string(format)}}
		resp, err := call(ctx, http.MethodGet, "frames?"+query.Encode(), nil)
		if err != nil {
			yield(Frame{}, err)
			return
		}
		defer resp.Body.Close()
		head, err := readHead(resp.Header)
		if err != nil {
			yield(Frame{}, err)
			return
		}
		size := head.width * head.height
		if format == RGB {
			size *= 3
		}
		pixels := make([]byte, size)
		for i := range head.frames {
			if _, err := io.ReadFull(resp.Body, pixels); err != nil {
				yield(Frame{}, fmt.Errorf("the frames ended in frame %d of %d: %w", i, head.frames, err))
				return
			}
			start, end := head.start(i), head.start(i+1)
			if !yield(Frame{start, min(end, max(in.Chunk.End, start)), int(head.width), int(head.height), pixels}, nil) {
				return
			}
		}
	}
}

type framesHead struct{ width, height, frames, num, den, first int64 }

func readHead(h http.Header) (framesHead, error) {
	var out framesHead
	for name, to := range map[string]*int64{
		"Width": &out.width, "Height": &out.height, "Frames": &out.frames,
		"Rate-Num": &out.num, "Rate-Den": &out.den, "First-Micros": &out.first,
	} {
		n, err := strconv.ParseInt(h.Get("X-Mre-"+name), 10, 64)
		if err != nil {
			return out, fmt.Errorf("the agent's header X-Mre-%s: %w", name, err)
		}
		*to = n
	}
	if out.num <= 0 || out.den <= 0 || out.width <= 0 || out.height <= 0 {
		return out, errors.New("the agent's headers X-Mre-* hold no size or no rate")
	}
	return out, nil
}

// start is where frame i begins, rounded once.
func (h framesHead) start(i int64) Micros {
	n := new(big.Int).Mul(big.NewInt(i), big.NewInt(2*1_000_000*h.den))
	n.Add(n, big.NewInt(h.num))
	return Micros(h.first + n.Div(n, big.NewInt(2*h.num)).Int64())
}

// Variables are the Event's context variables as they are now, and as this run has set them.
func (in *Input) Variables(ctx context.Context) (map[string]any, error) {
	var got struct {
		Variables map[string]any `json:"variables"`
	}
	if err := callJSON(ctx, http.MethodGet, "variables", nil, &got); err != nil {
		return nil, err
	}
	out := copyOf(got.Variables)
	maps.Copy(out, in.variables)
	return out, nil
}

// SetVariable sets a context variable to a text, number or boolean. It is published with the answer, or not at all when
// the run fails.
func (in *Input) SetVariable(name string, value any) {
	if in.variables == nil {
		in.variables = map[string]any{}
	}
	in.variables[name] = value
}

// SwapVariable sets a context variable at once, for all runs, if it still is what is expected; nil expects that it does
// not exist.
func (in *Input) SwapVariable(ctx context.Context, name string, expected, value any) (bool, error) {
	body := map[string]any{"value": value}
	if expected != nil {
		body["expected"] = expected
	}
	var got struct {
		Swapped bool `json:"swapped"`
	}
	err := callJSON(ctx, http.MethodPost, "variables/"+url.PathEscape(name)+"/swap", body, &got)
	if got.Swapped {
		delete(in.variables, name)
	}
	return got.Swapped, err
}

// Prompt is the text of a prompt template: of a version such as v2, or of the newest when it is empty.
func (in *Input) Prompt(ctx context.Context, name, version string) (string, error) {
	path := "prompts/" + url.PathEscape(name)
	if version != "" {
		path += "?" + url.Values{"version": {version}}.Encode()
	}
	var got struct {
		Template string `json:"template"`
	}
	err := callJSON(ctx, http.MethodGet, path, nil, &got)
	return got.Template, err
}
