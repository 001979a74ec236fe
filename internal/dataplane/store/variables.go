// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Bounds of context variables: they are read as a whole by every plugin that
// asks for one.
const (
	maxVariables     = 256
	maxVariableName  = 128
	maxVariableBytes = 64 << 10
)

// Variables are an Event's context variables.
func (s *Store) Variables(ctx context.Context, uid string) (map[string]any, error) {
	out := map[string]any{}
	err := s.read(ctx, func(q querier) error {
		clear(out)
		if _, err := findEvent(ctx, q, uid); err != nil {
			return err
		}
		type variable struct{ name, value string }
		list, err := collect(ctx, q, func(r *sql.Rows) (v variable, err error) { return v, r.Scan(&v.name, &v.value) },
			`SELECT name, value FROM variables WHERE event_uid = $1`, uid)
		for _, v := range list {
			out[v.name] = json.RawMessage(v.value) // as it was written: a float has not every whole number
		}
		return err
	})
	return out, err
}

// SwapVariable sets a context variable if it has the expected value. It does so
// at once and whatever becomes of the task, so that runs side by side can agree
// on something. Only the holder of the task's lease may; a repeat of its last
// swap that succeeded succeeds. Nobody waits for variables, so the feed is not
// told.
func (s *Store) SwapVariable(ctx context.Context, uid string, taskID int64,
	swap api.VariableSwap) (api.VariableSwapResult, error) {
	value, err := variableMessage(swap.Name, swap.Value)
	if err != nil {
		return api.VariableSwapResult{}, err
	}
	expected := ""
	if swap.Expected != nil {
		if expected, err = variableMessage(swap.Name, *swap.Expected); err != nil {
			return api.VariableSwapResult{}, err
		}
	}
	digest := swapDigest(swap.Token, swap.Name, expected, value)
	var result api.VariableSwapResult
	err = s.writeQuietly(ctx, func(t *txn) error {
		result = api.VariableSwapResult{}
		e, err := t.lockEvent(uid)
		if err != nil {
			return err
		}
		if _, err := e.leased(taskID, swap.Token); err != nil {
			return err
		}
		current, err := t.variable(uid, swap.Name)
		if err != nil {
			return err
		}
		if current != expected {
			last, err := one[string](ctx, t, `SELECT swap FROM tasks WHERE event_uid = $1 AND id = $2`, uid, taskID)
			if err != nil {
				return err
			}
			result.Swapped, result.Current = last == digest, rawValue(current)
			return errUnchanged
		}
		if err := t.setVariable(uid, swap.Name, value); err != nil {
			return err
		}
		if err := t.checkVariables(uid); err != nil {
			return err
		}
		result.Swapped, result.Current = true, rawValue(value)
		_, err = t.exec(`UPDATE tasks SET swap = $3 WHERE event_uid = $1 AND id = $2`, uid, taskID, digest)
		return err
	})
	return result, err
}

// swapDigest tells a repeat from another swap.
func swapDigest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// rawValue is a variable on the wire; nil when it does not exist.
func rawValue(value string) *json.RawMessage {
	if value == "" {
		return nil
	}
	raw := json.RawMessage(value)
	return &raw
}

// variable is a variable's value; empty when it does not exist.
func (t *txn) variable(uid, name string) (string, error) {
	var value string
	err := t.QueryRowContext(t.ctx, `SELECT value FROM variables
		WHERE event_uid = $1 AND name = $2`, uid, name).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read the context variable %s: %w", name, err)
	}
	return value, nil
}

func (t *txn) setVariable(uid, name, value string) error {
	_, err := t.exec(`INSERT INTO variables (event_uid, name, value) VALUES ($1, $2, $3)
		ON CONFLICT (event_uid, name) DO UPDATE SET value = excluded.value`, uid, name, value)
	return err
}

// setVariables writes the variables of a plan, or those that a run has set: the
// last one that completes counts.
func (t *txn) setVariables(uid string, variables map[string]any) error {
	if len(variables) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		value, err := variableJSON(name, variables[name])
		if err != nil {
			return err
		}
		if err := t.setVariable(uid, name, value); err != nil {
			return err
		}
	}
	return t.checkVariables(uid)
}

func (t *txn) checkVariables(uid string) error {
	n, err := one[int64](t.ctx, t, `SELECT COUNT(*) FROM variables WHERE event_uid = $1`, uid)
	if err != nil {
		return err
	}
	return checkVariableCount(n)
}

func checkVariableCount(n int64) error {
	if n > maxVariables {
		return invalid("the Event would have %d context variables; it can have %d", n, maxVariables)
	}
	return nil
}

// variableMessage is variableJSON of a value that was not decoded yet.
func variableMessage(name string, raw json.RawMessage) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return "", invalid("variables.%s is not JSON: %v", name, err)
	}
	return variableJSON(name, v)
}

// variableJSON writes a variable, in the same way for equal values: they are
// compared as text.
func variableJSON(name string, v any) (string, error) {
	if name == "" || len(name) > maxVariableName || strings.ContainsFunc(name, unicode.IsControl) {
		return "", invalid("variables: %.*q is not a variable's name; it has 1 to %d bytes, without control characters",
			maxVariableName, name, maxVariableName)
	}
	if n, ok := v.(json.Number); ok {
		var err error
		if v, err = number(n); err != nil {
			return "", invalid("variables.%s is %s; numbers must fit into 64 bits", name, short(n.String(), maxVariableName))
		}
	}
	switch v.(type) {
	case string, bool, int64, float64:
	default:
		return "", invalid("variables.%s is neither text nor a number nor a boolean; write lists and objects as text", name)
	}
	if f, ok := v.(float64); ok && f == 0 {
		v = int64(0) // a float's zero has a sign
	}
	body, err := toJSON(v)
	if err != nil {
		return "", err
	}
	if len(body) > maxVariableBytes {
		return "", invalid("variables.%s takes %d bytes as JSON; at most %d are kept", name, len(body), maxVariableBytes)
	}
	return body, nil
}

// number is an integer where it fits, and else a float.
func number(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i, nil
	}
	f, err := n.Float64()
	if err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), nil
	}
	return f, err
}
