// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
)

// forwardedConn is a connection to a port of a pod over a port-forward of its own.
type forwardedConn struct {
	connection httpstream.Connection
	data       httpstream.Stream
	remote     podAddr

	closeOnce sync.Once
	mu        sync.Mutex
	failure   error
}

func newForwardedConn(connection httpstream.Connection, pod *corev1.Pod, port int32) (*forwardedConn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	errorStream, err := connection.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open the error stream: %w", err)
	}
	// Nothing is ever written to it; closing our half lets the other side know.
	if err := errorStream.Close(); err != nil {
		return nil, fmt.Errorf("open the error stream: %w", err)
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open the data stream: %w", err)
	}
	c := &forwardedConn{
		connection: connection,
		data:       data,
		remote:     podAddr(fmt.Sprintf("%s/%s:%d", pod.Namespace, pod.Name, port)),
	}
	go c.watch(errorStream)
	return c, nil
}

// watch ends the connection with the node's message when the pod's side fails.
func (c *forwardedConn) watch(errorStream io.Reader) {
	message, err := io.ReadAll(io.LimitReader(errorStream, 4096))
	if err != nil || len(message) == 0 {
		return
	}
	c.mu.Lock()
	c.failure = fmt.Errorf("port-forward: %s", message)
	c.mu.Unlock()
	_ = c.Close() // its readers get the failure
}

func (c *forwardedConn) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.failure != nil {
		return c.failure
	}
	return err
}

func (c *forwardedConn) Read(p []byte) (int, error) {
	n, err := c.data.Read(p)
	return n, c.explain(err)
}

func (c *forwardedConn) Write(p []byte) (int, error) {
	n, err := c.data.Write(p)
	return n, c.explain(err)
}

// Close ends the forward. Unsent data is dropped, as a reset stream does not block the others.
func (c *forwardedConn) Close() error {
	var err error
	c.closeOnce.Do(func() {
		_ = c.data.Reset() // the connection goes anyway
		err = c.connection.Close()
	})
	return err
}

func (c *forwardedConn) LocalAddr() net.Addr  { return podAddr("here") }
func (c *forwardedConn) RemoteAddr() net.Addr { return c.remote }

// The streams know no deadlines; HTTP clients end a request by closing its connection.
func (c *forwardedConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *forwardedConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *forwardedConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// podAddr is NAMESPACE/POD:PORT.
type podAddr string

func (podAddr) Network() string  { return "port-forward" }
func (a podAddr) String() string { return string(a) }
