// SPDX-License-Identifier: Apache-2.0

package lambda

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind says what went wrong with a plugin.
type Kind string

const (
	// Reported says that the plugin itself said that it failed.
	Reported Kind = "Reported"
	// BadAnswer says that the answer is none that can be used.
	BadAnswer Kind = "BadAnswer"
	// StartFailed says that the process did not come to ask for work.
	StartFailed Kind = "StartFailed"
	// Crashed says that the process ended without an answer.
	Crashed Kind = "Crashed"
	// TimedOut says that there was no answer in time.
	TimedOut Kind = "TimedOut"
)

const (
	// maxWords is how much of a plugin's own message is kept, maxStack how much of its stack: together they
	// fit into a task's failure and into what the data plane takes of a plugin's health.
	maxWords = 800
	maxStack = 900
)

// Failure is a run that failed by the plugin's doing.
type Failure struct {
	Plugin string
	Kind   Kind
	// Words are what is shown to people: the plugin's own where there are any.
	Words string
}

// Error names the plugin.
func (f *Failure) Error() string { return "plugin " + f.Plugin + ": " + f.Words }

// errorReport is what a Lambda runtime posts about an error.
type errorReport struct {
	Message string   `json:"errorMessage"`
	Type    string   `json:"errorType"`
	Stack   []string `json:"stackTrace"`
}

// words reads an error report: its type, its message and its stack. What is not in the form is shown as it came.
func words(header string, body []byte) string {
	var r errorReport
	if json.Unmarshal(body, &r) != nil {
		// Some runtimes give the stack as objects; type and message are worth having without it.
		var short struct {
			Message string `json:"errorMessage"`
			Type    string `json:"errorType"`
		}
		if json.Unmarshal(body, &short) == nil {
			r.Message, r.Type = short.Message, short.Type
		} else {
			r.Message = string(body)
		}
	}
	if r.Type == "" {
		r.Type = header
	}
	text := strings.TrimSpace(head(r.Message, maxWords))
	switch {
	case r.Type != "" && text != "":
		text = head(r.Type, 120) + ": " + text
	case r.Type != "":
		text = head(r.Type, 120)
	case text == "":
		text = "it reported an error without saying which"
	}
	if stack := strings.TrimSpace(tail(strings.Join(r.Stack, "\n"), maxStack)); stack != "" {
		text += "\n" + stack
	}
	return text
}

// ended says how a process ended, with its last words.
func (e Exit) ended() string {
	how := fmt.Sprintf("with exit code %d", e.Code)
	if e.Signal != "" {
		how = "by signal " + head(e.Signal, 40)
	}
	if said := strings.TrimSpace(tail(e.Stderr, maxStack)); said != "" {
		return how + "; its last words: " + said
	}
	return how + ", and said nothing on standard error"
}

// head and tail cut a text at a character.
func head(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func tail(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= n {
		return s
	}
	from := len(s) - n
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return "…" + s[from:]
}
