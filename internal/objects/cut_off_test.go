// SPDX-License-Identifier: Apache-2.0

package objects_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

// The upload of a process that is killed leaves no object, however far it had come.
func TestCutOffUploadLeavesNothing(t *testing.T) {
	const size = 300_000
	bucket := storetest.Bucket(t)
	for _, sent := range []int{0, 100, 100_000, size - 1, size} {
		key := fmt.Sprintf("ns/uid/units/%d.ts", sent)
		to, err := bucket.PresignPutCreateOnly(t.Context(), key, "video/mp2t", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		sendAndHangUp(t, to, size, sent)
		_, err = bucket.Head(t.Context(), key)
		if stored := err == nil; stored != (sent == size) || (err != nil && !errors.Is(err, objects.ErrNotFound)) {
			t.Errorf("%d of %d bytes were sent: stored %t, %v", sent, size, stored, err)
		}
	}
}

// sendAndHangUp sends the beginning of a body of a size, ends its side of the connection, and waits until the
// store has ended the other one.
func sendAndHangUp(t *testing.T, to objects.Upload, size, sent int) {
	t.Helper()
	at, err := url.Parse(to.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var head strings.Builder
	fmt.Fprintf(&head, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nConnection: close\r\n",
		at.RequestURI(), at.Host, size)
	for name, value := range to.Headers {
		fmt.Fprintf(&head, "%s: %s\r\n", name, value)
	}
	if _, err := conn.Write([]byte(head.String() + "\r\n" + strings.Repeat("x", sent))); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		response.Body.Close()
	}
}
