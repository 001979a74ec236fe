// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

// Probe is the liveness probe of a container whose command nobody supervises: an error says that the agent wants
// it started again. An agent that does not answer wants nothing.
func Probe(ctx context.Context, runtimeAPI string) error {
	instance, err := incarnation()
	if err != nil {
		return err
	}
	u := "http://" + runtimeAPI + lambda.LivePath + "?" + url.Values{"instance": {instance}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil // The pod's end is not decided here.
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusServiceUnavailable {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	var why struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(body, &why) != nil || why.Message == "" {
		why.Message = "the agent wants this container started again"
	}
	return errors.New(why.Message)
}

// incarnation tells this container from the one that comes after it: the time at which its first process started.
func incarnation() (string, error) {
	b, err := os.ReadFile("/proc/1/stat")
	if err != nil {
		return "", fmt.Errorf("tell this container from the one before: %w", err)
	}
	stat := string(b)
	// The name, in brackets, may hold anything; the start is the 20th field after it.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", errors.New("/proc/1/stat is not as Linux writes it")
	}
	return fields[19], nil
}
