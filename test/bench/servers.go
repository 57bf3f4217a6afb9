package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"

	"github.com/multi-registry-push/multi-registry-push/test/light"
)

// server is a registry in a process of its own, so that its work is not counted as
// the client's.
type server struct {
	Addr string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	mu   sync.Mutex
}

// startServer starts a Distribution that keeps its storage in root, or one that hashes
// and discards if root is empty.
func startServer(ctx context.Context, n *network, i int, root string) (*server, error) {
	addr := sourceAddr
	if i >= 0 {
		addr = destinationAddr(i)
	}
	in, out := n.rates(i)
	return launch(ctx, n, addr, "-addr", addr, "-root", root, "-in", strconv.Itoa(in), "-out", strconv.Itoa(out))
}

// launch starts a server that clients call by name.
func launch(ctx context.Context, n *network, name string, flags ...string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := n.wrap(append([]string{self, "serve"}, flags...))
	s := &server{Addr: name, cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(stdout)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := s.out.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("server at %s did not start", name), s.cmd.Wait())
	}
	return s, nil
}

func (s *server) do(o order) (answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var a answer
	line, err := json.Marshal(o)
	if err != nil {
		return a, err
	}
	if _, err := s.in.Write(append(line, '\n')); err != nil {
		return a, err
	}
	reply, err := s.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("server at %s: %w", s.Addr, err)
	}
	if err := json.Unmarshal(reply, &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (s *server) stop() {
	s.in.Close()
	_ = s.cmd.Wait()
}

// stage is a source and some destinations.
type stage struct {
	network *network
	source  *server
	to      []*server
	tokens  *server // nil if nobody has to log in
}

// startStage starts a source, which keeps the image in its folder, and n destinations.
// Folders are below dir; none: hash and discard.
func startStage(ctx context.Context, n *network, destinations int, dir string) (_ *stage, err error) {
	st := &stage{network: n}
	defer func() {
		if err != nil {
			st.stop()
		}
	}()
	root := func(name string) string {
		if dir == "" {
			return ""
		}
		return dir + "/" + name
	}
	if st.source, err = startServer(ctx, n, -1, root("source")); err != nil {
		return nil, err
	}
	for i := range destinations {
		s, err := startServer(ctx, n, i, root(fmt.Sprint("to", i)))
		if err != nil {
			return nil, err
		}
		st.to = append(st.to, s)
	}
	return st, nil
}

// empty makes all destinations forget what they have, and all servers what they
// counted.
func (st *stage) empty() error {
	err := st.forget()
	for _, s := range st.to {
		_, e := s.do(order{Do: "wipe"})
		err = errors.Join(err, e)
	}
	return err
}

// forget makes all servers forget what they counted.
func (st *stage) forget() error {
	var err error
	for _, s := range append([]*server{st.source, st.tokens}, st.to...) {
		if s != nil {
			_, e := s.do(order{Do: "forget"})
			err = errors.Join(err, e)
		}
	}
	return err
}

// counts returns the source's counts, and the destinations', the token service's last.
func (st *stage) counts() (source *light.Counts, to []*light.Counts, err error) {
	a, err := st.source.do(order{Do: "counts"})
	if err != nil {
		return nil, nil, err
	}
	for _, s := range st.to {
		b, err := s.do(order{Do: "counts"})
		if err != nil {
			return nil, nil, err
		}
		to = append(to, b.Counts)
	}
	if st.tokens != nil {
		b, err := st.tokens.do(order{Do: "counts"})
		if err != nil {
			return nil, nil, err
		}
		to = append(to, b.Counts)
	}
	return a.Counts, to, nil
}

func (st *stage) hosts() (hosts []string) {
	for _, s := range st.to {
		hosts = append(hosts, s.Addr)
	}
	return hosts
}

func (st *stage) stop() {
	for _, s := range append(st.to, st.source, st.tokens) {
		if s != nil {
			s.stop()
		}
	}
}
