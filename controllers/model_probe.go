// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// probeTimeout bounds one question to a model server.
	probeTimeout = 3 * time.Second
	// probeAgain is how soon a Model is asked again that is not ready, and probeResync one that is.
	probeAgain  = 30 * time.Second
	probeResync = 5 * time.Minute
)

// NewModelClient asks model servers. It follows no redirects: the manager asks the address that a Model names, and
// no other.
func NewModelClient() *http.Client {
	return &http.Client{
		Timeout:       probeTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// modelEndpoint is how a plugin reaches a Model: by which name, protocol and address.
func modelEndpoint(m *mrev1.Model) (name string, protocol api.PlanPluginModelProtocol, address string) {
	if o := m.Spec.OpenInference; o != nil {
		return cmp.Or(o.ModelName, m.Name), api.PlanPluginModelProtocolOpenInference, serverAddress(m)
	}
	return m.Name, api.PlanPluginModelProtocolPlain, m.Spec.Endpoint.Value
}

// serverAddress is where a server of the Open Inference Protocol answers, without the protocol's own path.
func serverAddress(m *mrev1.Model) string {
	o := m.Spec.OpenInference
	if o.Service == nil {
		return strings.TrimRight(o.URL, "/")
	}
	return fmt.Sprintf("http://%s.%s.svc:%d", o.Service.Name, m.Namespace, cmp.Or(o.Service.Port, 80))
}

// probeModel asks a Model's server whether the model is ready. A plain endpoint is not asked: only the plugin
// knows how.
func probeModel(ctx context.Context, c *http.Client, m *mrev1.Model) *Finding {
	if m.Spec.OpenInference == nil {
		return nil
	}
	name, _, address := modelEndpoint(m)
	ready, err := url.JoinPath(address, "v2", "models", url.PathEscape(name), "ready")
	if err != nil {
		return stalled(mrev1.ReasonModelUnreachable, "spec.openInference.url: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, ready, nil)
	if err != nil {
		return stalled(mrev1.ReasonModelUnreachable, "spec.openInference: %v", err)
	}
	answer, err := c.Do(request)
	if err != nil {
		return waiting(mrev1.ReasonModelUnreachable, "%s does not answer: %s", ready, unreachable(err))
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return waiting(mrev1.ReasonModelNotReady,
			"the server says that model %s is not ready: GET %s was answered with %d %s",
			name, ready, answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return nil
}

// unreachable is why there was no answer, in words that do not change from one try to the next, such as by a port
// of this side.
func unreachable(err error) string {
	var wrapped *url.Error
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &wrapped) && wrapped.Timeout():
		return fmt.Sprintf("no answer in %s", probeTimeout)
	case errors.As(err, &dns):
		return "there is no such host"
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.As(err, &wrapped):
		return wrapped.Err.Error()
	}
	return err.Error()
}
