package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// For as many inputs as a fleet has, what stays is small beside what each needs for a while: collecting it at every doubling takes a fifth of
// the time, at every fourfold growth little. Who sets GOGC wants otherwise.
const (
	fleet   = 32
	fleetGC = 300
)

// parallel calls do for 0 to n-1 on all processors. Whoever uses it keeps results by index, so that the order is that of
// the arguments.
func parallel(n int, do func(int)) {
	if n >= fleet && os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(fleetGC))
	}
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wait.Wait()
}
