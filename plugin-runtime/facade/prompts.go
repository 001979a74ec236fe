// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// promptVersion is a file of a prompt's ConfigMap.
type promptVersion struct {
	prompt   api.PlanPrompt
	number   int
	template string
	at       time.Time
}

func (v promptVersion) name() string { return "v" + strconv.Itoa(v.number) }

// versionKey is a key of a prompt's ConfigMap.
var versionKey = regexp.MustCompile(`^v([1-9][0-9]{0,3})$`)

// promptNamed finds a prompt that the plugin may ask for.
func (f *Facade) promptNamed(name string) (api.PlanPrompt, error) {
	for _, p := range f.Plugin.Prompts {
		if p.Name == name {
			return p, nil
		}
	}
	return api.PlanPrompt{}, notFound(fmt.Sprintf("plugin %s has no prompt %q; name it, with its ConfigMap, in the "+
		"Plugin's spec.prompts", f.Plugin.Name, name))
}

// promptFiles are the versions of a prompt, the newest last; there is one at least.
func (f *Facade) promptFiles(p api.PlanPrompt) ([]promptVersion, error) {
	dir := filepath.Join(f.PromptsDir, filepath.Base(p.ConfigMap))
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read prompt %s: %w", p.Name, err)
	}
	var out []promptVersion
	for _, e := range entries {
		m := versionKey.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		body, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read prompt %s: %w", p.Name, err)
		}
		v := promptVersion{prompt: p, template: string(body)}
		v.number, _ = strconv.Atoi(m[1]) // the pattern lets numbers through only
		if info, err := os.Stat(path); err == nil {
			v.at = info.ModTime()
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, notFound(fmt.Sprintf("prompt %q has no version: ConfigMap %s is not there or has no key v1",
			p.Name, p.ConfigMap))
	}
	slices.SortFunc(out, func(a, b promptVersion) int { return cmp.Compare(a.number, b.number) })
	return out, nil
}

// prompt is one version of a prompt; v0, or none, is the newest.
func (f *Facade) prompt(name, version string) (row, error) {
	p, err := f.promptNamed(name)
	if err != nil {
		return nil, err
	}
	versions, err := f.promptFiles(p)
	if err != nil {
		return nil, err
	}
	if version == "" || version == "v0" {
		return newest(versions), nil
	}
	for _, v := range versions {
		if v.name() == version {
			return v.row(), nil
		}
	}
	return nil, notFound(fmt.Sprintf("prompt %q has no version %q; ConfigMap %s has up to %s", name,
		version, p.ConfigMap, versions[len(versions)-1].name()))
}
