// Command load sends entries to a server over TLS 1.3, one at a time on each of N connections,
// and prints how many were acknowledged in how many seconds, with latencies, as one JSON line.
//
// The same program drives etcd and a master, so that the two are compared by their servers alone:
// entries are made beforehand, connections are opened and warmed up before the clock starts.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

type options struct {
	target, url, caFile, tokenFile, entries string
	connections, warmup                     int
}

// connection sends one entry and returns when the server has acknowledged it.
type connection interface {
	send(ctx context.Context, number int, entry []byte) error
	close()
}

type outcome struct {
	Count   int     `json:"count"`
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
}

func main() {
	var o options
	flag.StringVar(&o.target, "target", "", "`etcd` or master")
	flag.StringVar(&o.url, "url", "", "`URL` of the server")
	flag.StringVar(&o.caFile, "ca", "", "PEM `file` of the only CA to trust")
	flag.StringVar(&o.tokenFile, "token-file", "", "`file` that holds a bearer token")
	flag.StringVar(&o.entries, "entries", "", "`file` of entries, each after its length in two bytes")
	flag.IntVar(&o.connections, "connections", 1, "how many at once")
	flag.IntVar(&o.warmup, "warmup", 0, "entries sent before the clock starts")
	flag.Parse()
	result, err := run(o)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(o options) (outcome, error) {
	entries, err := readEntries(o.entries)
	if err != nil {
		return outcome{}, err
	}
	if len(entries) <= o.warmup {
		return outcome{}, fmt.Errorf("%d entries are too few", len(entries))
	}
	connections, err := open(o)
	if err != nil {
		return outcome{}, err
	}
	defer func() {
		for _, c := range connections {
			c.close()
		}
	}()
	if _, err := drive(connections, entries[:o.warmup], 0); err != nil {
		return outcome{}, err
	}
	begin := time.Now()
	times, err := drive(connections, entries[o.warmup:], o.warmup)
	if err != nil {
		return outcome{}, err
	}
	seconds := time.Since(begin).Seconds()
	slices.Sort(times)
	return outcome{len(times), seconds, milliseconds(times, 50), milliseconds(times, 99)}, nil
}

func milliseconds(sorted []time.Duration, percent int) float64 {
	return float64(sorted[(len(sorted)-1)*percent/100].Microseconds()) / 1000
}

// drive hands the entries out to whichever connection is free. The first error ends the run.
func drive(connections []connection, entries [][]byte, offset int) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), 5*time.Minute, fmt.Errorf("no end after 5 minutes"))
	defer cancel()
	times := make([]time.Duration, len(entries))
	failures := make(chan error, len(connections))
	var next atomic.Int64
	var workers sync.WaitGroup
	for _, c := range connections {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(entries) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				begin := time.Now()
				if err := c.send(ctx, offset+i, entries[i]); err != nil {
					failures <- err
					cancel()
					return
				}
				times[i] = time.Since(begin)
			}
		})
	}
	workers.Wait()
	close(failures)
	return times, <-failures
}

func open(o options) ([]connection, error) {
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", o.caFile)
	}
	dial := dialMaster
	if o.target == "etcd" {
		dial = dialEtcd
	}
	connections := make([]connection, 0, o.connections)
	for range o.connections {
		c, err := dial(o, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13})
		if err != nil {
			return nil, err
		}
		connections = append(connections, c)
	}
	return connections, nil
}

func readEntries(name string) ([][]byte, error) {
	rest, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(rest) > 0 {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return nil, fmt.Errorf("%s ends inside entry %d", name, len(entries))
		}
		end := 2 + int(binary.BigEndian.Uint16(rest))
		entries = append(entries, rest[2:end])
		rest = rest[end:]
	}
	return entries, nil
}
