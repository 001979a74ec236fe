// SPDX-License-Identifier: Apache-2.0

// Command etcd is the etcd server, built from its module so that its version is pinned by go.sum.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
