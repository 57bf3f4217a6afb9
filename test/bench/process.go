package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// process is one client's command line.
type process struct {
	Args []string
	Env  []string
	Log  string // file for what it writes, "" for none
}

// cost is what clients took to do a piece of work.
type cost struct {
	Start time.Time
	Time  time.Duration
	CPU   time.Duration // user and system of all processes
	Peak  int64         // VmHWM in bytes: the largest process, or the sum of those that ran at once
}

// one after the other.
func (n *network) serial(ctx context.Context, all []process) (cost, error) {
	total := cost{Start: time.Now()}
	for _, p := range all {
		c, err := n.run(ctx, p)
		if err != nil {
			return total, err
		}
		total.Time += c.Time
		total.CPU += c.CPU
		total.Peak = max(total.Peak, c.Peak)
	}
	return total, nil
}

// all at once.
func (n *network) parallel(ctx context.Context, all []process) (cost, error) {
	total := cost{Start: time.Now()}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	for _, p := range all {
		wg.Go(func() {
			c, err := n.run(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			total.CPU += c.CPU
			total.Peak += c.Peak
		})
	}
	wg.Wait()
	total.Time = time.Since(total.Start)
	return total, failed
}

// run runs one process to its end.
func (n *network) run(ctx context.Context, p process) (cost, error) {
	return n.runWith(ctx, p, func(int) {})
}

func (n *network) runWith(ctx context.Context, p process, started func(pid int)) (cost, error) {
	args := n.wrap(p.Args)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(environment(), p.Env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	c := cost{Start: time.Now()}
	if err := cmd.Start(); err != nil {
		return c, err
	}
	started(cmd.Process.Pid)
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { c.Peak = watch(cmd.Process.Pid, ended) })
	err := cmd.Wait()
	c.Time = time.Since(c.Start)
	close(ended)
	watching.Wait()
	c.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if p.Log != "" {
		err = errors.Join(err, os.WriteFile(p.Log, out.Bytes(), 0o600))
	}
	if err != nil {
		text := out.String()
		return c, fmt.Errorf("%s: %w\n%s", strings.Join(p.Args, " "), err, text[max(0, len(text)-3000):])
	}
	return c, nil
}

// watch reads a process's VmHWM until it has ended. (What wait4 tells, ru_maxrss,
// begins with the parent's.)
func watch(pid int, ended <-chan struct{}) (peak int64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil {
			if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
				if kb, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64); err == nil {
					peak = max(peak, kb<<10)
				}
			}
		}
		select {
		case <-ended:
			return peak
		case <-tick.C:
		}
	}
}

// environment is this process's without what would steer clients.
func environment() (env []string) {
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "INPUT_") || strings.HasPrefix(name, "GITHUB_") || strings.HasPrefix(name, "DOCKER_") || strings.HasPrefix(name, "SSL_CERT_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			continue
		}
		env = append(env, e)
	}
	return env
}

// runWatchingDisk is run, and tells how much the temporary files of p, which have no
// names, held at most.
func (n *network) runWatchingDisk(ctx context.Context, p process) (cost, int64, error) {
	ended := make(chan struct{})
	var watching sync.WaitGroup
	var disk int64
	started := func(pid int) {
		watching.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				disk = max(disk, held(pid))
				select {
				case <-ended:
					return
				case <-tick.C:
				}
			}
		})
	}
	c, err := n.runWith(ctx, p, started)
	close(ended)
	watching.Wait()
	return c, disk, err
}
