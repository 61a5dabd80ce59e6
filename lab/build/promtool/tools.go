//go:build tools

// Package tools pins the program that judges what Prometheus shall read.
package tools

import _ "github.com/prometheus/prometheus/cmd/promtool"
