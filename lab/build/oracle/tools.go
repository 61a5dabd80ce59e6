//go:build tools

// Package tools pins the programs that the readers of datastores are compared with.
package tools

import (
	_ "go.etcd.io/bbolt/cmd/bbolt"
	_ "go.etcd.io/etcd/v3/tools/etcd-dump-logs"
)
