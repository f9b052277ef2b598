package referee

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// newNamespace makes a network namespace without a name: it is gone when the last handle is closed.
func newNamespace() (netns.NsHandle, error) {
	handle := netns.None()
	err := onThread(func() error {
		var err error
		handle, err = netns.New()
		return err
	})
	return handle, err
}

// within runs f on a thread of its own that is in the namespace.
func within(ns netns.NsHandle, f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// onThread runs f on a locked thread and puts the thread back into the namespace that it came from. Where that fails the
// thread stays locked, so that the runtime ends it with its goroutine and nothing else ever runs on it.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		origin, err := netns.Get()
		if err != nil {
			done <- err
			return
		}
		defer origin.Close()
		err = f()
		if back := netns.Set(origin); back == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// A driver is a thread bound to one processor that sends and collects packets. The kernel queues what a virtual link
// delivers per processor and in order, so that with one sender a later frame cannot overtake an earlier one.
type driver struct {
	jobs chan func()
	done chan struct{}
}

func startDriver() (*driver, error) {
	d := &driver{jobs: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(d.done)
		// Never unlocked: the thread with its affinity ends with the goroutine.
		runtime.LockOSThread()
		ready <- bindToOne()
		for job := range d.jobs {
			job()
		}
	}()
	if err := <-ready; err != nil {
		close(d.jobs)
		return nil, err
	}
	return d, nil
}

// bindToOne binds the calling thread to the last of the processors that it may run on.
func bindToOne() error {
	var have, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &have); err != nil {
		return fmt.Errorf("read processor affinity: %w", err)
	}
	for i := range 1024 {
		if have.IsSet(i) {
			one.Zero()
			one.Set(i)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("bind thread to a processor: %w", err)
	}
	return nil
}

func (d *driver) do(f func() error) error {
	var err error
	ended := make(chan struct{})
	d.jobs <- func() {
		defer close(ended)
		err = f()
	}
	<-ended
	return err
}

func (d *driver) stop() {
	close(d.jobs)
	<-d.done
}
