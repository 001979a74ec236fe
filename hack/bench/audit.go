// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// auditEntry is what the benchmarks read of an entry of the API server's audit log
// (audit.k8s.io/v1, kind Event).
type auditEntry struct {
	Verb           string    `json:"verb"`
	StageTimestamp time.Time `json:"stageTimestamp"`
	User           struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		Resource  string `json:"resource"`
		Namespace string `json:"namespace"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// isWrite tells whether the call could change something.
func (e auditEntry) isWrite() bool {
	switch e.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

// countAudit counts the entries between two times that fit.
func countAudit(path string, from, to time.Time, fits func(auditEntry) bool) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read the audit log (--audit-log): %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			// A last line without an end is still being written; it is of after the time asked for.
			return n, nil
		} else if err != nil {
			return 0, fmt.Errorf("read the audit log: %w", err)
		}
		var e auditEntry
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("read the audit log: %w", err)
		}
		if !e.StageTimestamp.Before(from) && e.StageTimestamp.Before(to) && fits(e) {
			n++
		}
	}
}

// ourWrite tells whether a part of MRE Operator wrote to the API server for our Events. The Leases of leader
// election and the TokenReviews of the data plane go by the clock, not by chunks, and are set aside; so are other
// Events on the cluster.
func (b *bench) ourWrite(e auditEntry) bool {
	ours := strings.HasPrefix(e.User.Username, "system:serviceaccount:"+b.namespace+":") ||
		strings.HasPrefix(e.User.Username, "system:serviceaccount:"+b.events+":")
	aside := e.ObjectRef.Namespace != "" && e.ObjectRef.Namespace != b.events && e.ObjectRef.Namespace != b.namespace
	return ours && !aside && e.isWrite() && e.ObjectRef.Resource != "leases" && e.ObjectRef.Resource != "tokenreviews" &&
		e.ObjectRef.Resource != "subjectaccessreviews"
}

// podCreated tells whether a pod of an Event was made.
func (b *bench) podCreated(e auditEntry) bool {
	return e.Verb == "create" && e.ObjectRef.Resource == "pods" && e.ObjectRef.Namespace == b.events &&
		e.ResponseStatus.Code < 300
}
