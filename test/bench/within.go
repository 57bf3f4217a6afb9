package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Entering a network namespace takes as long as a round trip to a server that is near. So a process
// of ours enters it, and measures the client there: what is counted is the client's alone.

// measured is what the process inside tells: first the client's pid, then its cost.
type measured struct {
	Pid   int
	Cost  cost
	Error string
}

// runWithin is runWith in the network's namespace.
func (n *network) runWithin(ctx context.Context, p process, started func(pid int)) (c cost, err error) {
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	what, err := json.Marshal(p)
	if err != nil {
		return c, err
	}
	args := n.wrap([]string{self, "measure"})
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(what)), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return c, err
	}
	if err := cmd.Start(); err != nil {
		return c, err
	}
	told := json.NewDecoder(out)
	var first, last measured
	err = told.Decode(&first)
	if err == nil && first.Error == "" {
		started(first.Pid)
		err = told.Decode(&last)
	}
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return c, fmt.Errorf("%s: %w", strings.Join(p.Args, " "), err)
	}
	if text := first.Error + last.Error; text != "" {
		return last.Cost, errors.New(text)
	}
	return last.Cost, nil
}

// measure runs the process that in describes, and tells out what it cost.
func measure(in io.Reader, out io.Writer) error {
	var p process
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return err
	}
	tell := json.NewEncoder(out)
	var n network
	c, err := n.runWith(context.Background(), p, func(pid int) { _ = tell.Encode(measured{Pid: pid}) })
	text := ""
	if err != nil {
		text = err.Error()
	}
	return tell.Encode(measured{Cost: c, Error: text})
}
