// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// reader takes parameters out of a configuration and collects what is wrong
// with them. Numbers may be JSON numbers or strings, since MRE's
// configurations are maps of strings.
type reader struct {
	config map[string]any
	known  []string
	errs   []error
}

func read(config map[string]any) *reader { return &reader{config: config} }

func (r *reader) fail(key, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("configuration.%s: %s", key, fmt.Sprintf(format, args...)))
}

// err is what was wrong, with the keys that no parameter has.
func (r *reader) err() error {
	var unknown []string
	for key := range r.config {
		if !contains(r.known, key) {
			unknown = append(unknown, key)
		}
	}
	sort.Strings(unknown)
	for _, key := range unknown {
		r.fail(key, "there is no such parameter; known are %s", strings.Join(r.known, ", "))
	}
	return errors.Join(r.errs...)
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}

func (r *reader) get(key string) (any, bool) {
	r.known = append(r.known, key)
	v, ok := r.config[key]
	return v, ok && v != nil
}

// number is a decimal within bounds.
func (r *reader) number(key string, def, low, high float64) float64 {
	v, ok := r.get(key)
	if !ok {
		return def
	}
	f, err := toNumber(v)
	switch {
	case err != nil:
		r.fail(key, "%v", err)
		return def
	case f < low || f > high:
		r.fail(key, "%v is not between %v and %v", f, low, high)
		return def
	}
	return f
}

// micros is a time in seconds, as microseconds.
func (r *reader) micros(key string, def, low, high float64) int64 {
	return int64(math.Round(r.number(key, def, low, high) * float64(second)))
}

func toNumber(v any) (float64, error) {
	var f float64
	var err error
	switch v := v.(type) {
	case float64:
		f = v
	case float32:
		f = float64(v)
	case int:
		f = float64(v)
	case int32:
		f = float64(v)
	case int64:
		f = float64(v)
	case json.Number:
		f, err = v.Float64()
	case string:
		f, err = strconv.ParseFloat(strings.TrimSpace(v), 64)
	default:
		return 0, fmt.Errorf("%v is not a number", v)
	}
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is not a number", fmt.Sprint(v))
	}
	return f, nil
}

// choice is one of a few words; the first is the default.
func (r *reader) choice(key string, words ...string) string {
	v, ok := r.get(key)
	if !ok {
		return words[0]
	}
	s, isText := v.(string)
	if !isText || !contains(words, s) {
		r.fail(key, "%q is not one of %s", fmt.Sprint(v), strings.Join(words, ", "))
		return words[0]
	}
	return s
}

// text is a string that must be there.
func (r *reader) text(key string) string {
	v, ok := r.get(key)
	s, isText := v.(string)
	switch {
	case !ok:
		r.fail(key, "it is required")
	case !isText:
		r.fail(key, "%v is not a string", v)
	}
	return s
}

// words is a list of strings, or one string with commas.
func (r *reader) words(key string) []string {
	v, ok := r.get(key)
	if !ok {
		return nil
	}
	var list []string
	switch v := v.(type) {
	case string:
		list = strings.Split(v, ",")
	case []string:
		list = append(list, v...)
	case []any:
		for _, item := range v {
			s, isText := item.(string)
			if !isText {
				r.fail(key, "%v is not a string", item)
				return nil
			}
			list = append(list, s)
		}
	default:
		r.fail(key, "%v is not a list of strings", v)
		return nil
	}
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}
