// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// Write writes objects as a multi-document YAML.
func Write(w io.Writer, objects []any) error {
	for i, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			return fmt.Errorf("write a manifest: %w", err)
		}
		if i > 0 {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}
