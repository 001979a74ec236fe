// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql/driver"
)

// dsnConnector opens connections of a driver that has no connectors of its own.
type dsnConnector struct {
	driver driver.Driver
	name   string
}

func (c dsnConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.name) }
func (c dsnConnector) Driver() driver.Driver                        { return c.driver }
