// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"bytes"
	"encoding/json"
)

// byPlugin are rows by the plugin that found them, in the order in which the plugins were asked for: MRE's plugins take
// the first for the one that matters.
type byPlugin struct {
	names []string
	rows  []items
}

func (b *byPlugin) add(name string, rows items) {
	b.names, b.rows = append(b.names, name), append(b.rows, rows)
}

// MarshalJSON writes an object whose members keep their order.
func (b byPlugin) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, name := range b.names {
		if i > 0 {
			out.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		out.Write(key)
		out.WriteByte(':')
		rows, err := json.Marshal(b.rows[i])
		if err != nil {
			return nil, err
		}
		out.Write(rows)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
