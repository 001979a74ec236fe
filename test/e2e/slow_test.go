// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

// serveSlowly gives a file to the cluster at a pace at which it takes the time to be read, so that there is an
// ingest to kill. It listens on the node's own address, which is on this machine.
func (a *area) serveSlowly(path string, takes time.Duration) (location string) {
	a.Helper()
	info, err := os.Stat(path)
	a.Expect(err).NotTo(HaveOccurred())
	var nodes corev1.NodeList
	a.Expect(cluster.List(a.ctx, &nodes)).To(Succeed())
	a.Expect(nodes.Items).NotTo(BeEmpty())
	var listener net.Listener
	for _, address := range nodes.Items[0].Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			listener, err = net.Listen("tcp", net.JoinHostPort(address.Address, "0"))
			a.Expect(err).NotTo(HaveOccurred(), "the node must be this machine: run this test on the cluster of hack/cluster")
		}
	}
	a.Expect(listener).NotTo(BeNil(), "the node has no address")
	perSecond := info.Size() / int64(takes/time.Second)
	server := &http.Server{ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			file, err := os.Open(path)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			defer file.Close()
			http.ServeContent(w, r, filepath.Base(path), info.ModTime(), &slowFile{File: file, perSecond: perSecond})
		})}
	go func() { _ = server.Serve(listener) }() // ends with Close
	a.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String() + "/" + filepath.Base(path)
}

// slowFile is read at a steady pace.
type slowFile struct {
	*os.File
	perSecond int64
}

func (f *slowFile) Read(p []byte) (int, error) {
	const steps = 20
	p = p[:min(int64(len(p)), f.perSecond/steps+1)]
	time.Sleep(time.Duration(int64(len(p)) * int64(time.Second) / f.perSecond))
	return f.File.Read(p)
}

// WriteTo would go around Read.
func (f *slowFile) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{f})
}
