// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// maxFile bounds what is read of one file.
const maxFile = 8 << 20

// Read reads the documents of files, and of the JSON and YAML files in folders. A file that is named must be one of
// MRE's; in a folder, others are passed over with a warning.
func Read(paths []string) ([]Document, []string, error) {
	var out []Document
	var warnings []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, nil, err
		}
		if !info.IsDir() {
			found, err := readFile(path)
			if err != nil {
				return nil, nil, err
			}
			out = append(out, found...)
			continue
		}
		err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(file)) {
				return err
			}
			found, err := readFile(file)
			if err != nil {
				warnings = append(warnings, fmt.Sprintf("%v: passed over", err))
				return nil
			}
			for _, d := range found {
				var other *NotMRE
				if err := new(importer).sort(d); errors.As(err, &other) {
					warnings = append(warnings, d.Source+": is none of MRE's documents: passed over")
					continue
				}
				out = append(out, d)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return out, warnings, nil
}

func readFile(path string) ([]Document, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes; MRE's documents have less than %d", path, info.Size(), maxFile)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, body)
}

// Parse reads JSON, or YAML of several documents. A list, bare or in Items as MRE's API answers, is as many documents.
func Parse(source string, body []byte) ([]Document, error) {
	var out []Document
	texts := [][]byte{body}
	if !json.Valid(body) {
		texts = bytes.Split(append([]byte("\n"), body...), []byte("\n---"))
	}
	for _, text := range texts {
		if len(strings.TrimSpace(string(text))) == 0 {
			continue
		}
		if !json.Valid(text) {
			converted, err := yaml.YAMLToJSON(text)
			if err != nil {
				return nil, fmt.Errorf("%s is neither JSON nor YAML: %w", source, err)
			}
			text = converted
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		out = append(out, flatten(value)...)
	}
	for i := range out {
		out[i].Source = source
		if len(out) > 1 {
			out[i].Source = fmt.Sprintf("%s [%d]", source, i)
		}
	}
	return out, nil
}

func flatten(value any) []Document {
	if fields, ok := value.(map[string]any); ok {
		if items, ok := fields["Items"].([]any); ok {
			value = items
		}
	}
	list, ok := value.([]any)
	if !ok {
		return []Document{{Value: value}}
	}
	var out []Document
	for _, v := range list {
		out = append(out, Document{Value: v})
	}
	return out
}
