// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Plan is the compiled Profile that an Event runs with.
func (c *Client) Plan(ctx context.Context, uid string) (api.Plan, error) {
	r, err := c.raw.GetPlanWithResponse(ctx, uid)
	if err != nil {
		return api.Plan{}, failed("getPlan", err)
	}
	return done("getPlan", r.HTTPResponse, r.JSON200)
}

// PutPluginHealth says what this worker knows of a plugin's process.
func (c *Client) PutPluginHealth(ctx context.Context, uid, plugin string, report api.PluginHealthReport) error {
	if _, err := c.raw.PutPluginHealthWithResponse(ctx, uid, plugin, report); err != nil {
		return failed("putPluginHealth", err)
	}
	return nil
}
