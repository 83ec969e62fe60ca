// A closed loop of puts or linearizable reads on the leader of an etcd 3.4 cluster; prints one line of JSON.
// Built with Debian's golang-etcd-server-dev: GO111MODULE=off GOPATH=/usr/share/gocode go build etcd-load.go
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
)

// The endpoint of the leader: there a call needs no forwarding.
func leader(endpoints []string) (string, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
	if err != nil {
		return "", err
	}
	defer client.Close()
	for _, endpoint := range endpoints {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		status, err := client.Status(ctx, endpoint)
		cancel()
		if err != nil {
			return "", fmt.Errorf("%s: %w", endpoint, err)
		}
		if status.Leader == status.Header.MemberId {
			return endpoint, nil
		}
	}
	return "", errors.New("no member leads")
}

func run() error {
	endpoints := flag.String("endpoints", "127.0.0.1:2379", "all members, comma-separated")
	op := flag.String("op", "put", "put, get (linearizable), or leader: only wait for one and print it")
	clients := flag.Int("clients", 64, "calls under way")
	connections := flag.Int("connections", 8, "connections that the clients share")
	size := flag.Int("size", 256, "bytes of a value")
	keys := flag.Int("keys", 100000, "different keys")
	warmup := flag.Int("warmup", 2, "seconds before the measurement")
	seconds := flag.Int("seconds", 5, "seconds of the measurement")
	flag.Parse()

	first, err := leader(strings.Split(*endpoints, ","))
	if err != nil {
		return err
	}
	if *op == "leader" {
		fmt.Println(first)
		return nil
	}
	shared := make([]*clientv3.Client, *connections)
	for i := range shared {
		if shared[i], err = clientv3.New(clientv3.Config{Endpoints: []string{first}, DialTimeout: 5 * time.Second}); err != nil {
			return err
		}
	}
	value := strings.Repeat("x", *size)
	begin := time.Now().Add(time.Duration(*warmup) * time.Second)
	end := begin.Add(time.Duration(*seconds) * time.Second)
	latencies := make([][]int64, *clients)
	failures := make([]error, *clients)
	var all sync.WaitGroup
	for i := 0; i < *clients; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			random := rand.New(rand.NewSource(int64(i)))
			client := shared[i%len(shared)]
			for {
				key := fmt.Sprintf("%010d", random.Intn(*keys))
				sent := time.Now()
				var err error
				if *op == "put" {
					_, err = client.Put(context.Background(), key, value)
				} else {
					_, err = client.Get(context.Background(), key)
				}
				now := time.Now()
				if err != nil {
					failures[i] = err
					return
				}
				if !now.Before(end) {
					return
				}
				if !now.Before(begin) {
					latencies[i] = append(latencies[i], now.Sub(sent).Microseconds())
				}
			}
		}(i)
	}
	all.Wait()
	var sorted []int64
	for i := range latencies {
		if failures[i] != nil {
			return failures[i]
		}
		sorted = append(sorted, latencies[i]...)
	}
	if len(sorted) == 0 {
		return errors.New("no call was answered")
	}
	sort.Slice(sorted, func(a, b int) bool { return sorted[a] < sorted[b] })
	percentile := func(part float64) int64 { return sorted[int(part*float64(len(sorted)-1))] }
	fmt.Printf("{\"ops_per_s\":%.1f,\"p50_us\":%d,\"p99_us\":%d,\"errors\":0}\n",
		float64(len(sorted))/float64(*seconds), percentile(0.5), percentile(0.99))
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "etcd-load:", err)
		os.Exit(1)
	}
}
