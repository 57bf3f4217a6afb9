package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"github.com/multi-registry-push/multi-registry-push/test/light"
)

// order is what a server process is told on its standard input, one line of JSON
// each; it answers each with a line.
type order struct {
	Do       string // "counts", "forget", "wipe", "make", "put"
	Made     light.Made
	Manifest []byte
	Type     string
	Tag      string
}

// answer is what it says.
type answer struct {
	Counts *light.Counts `json:",omitempty"`
	Digest string        `json:",omitempty"`
	Error  string        `json:",omitempty"`
}

// serve is the process of one registry: a Distribution 3, or one that hashes and
// discards. It ends when its standard input does.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:0", "where to listen")
	root := flags.String("root", "", "folder of a Distribution's storage; none: hash and discard")
	in := flags.Int("in", 0, "bytes a second taken, 0 for no limit")
	out := flags.Int("out", 0, "bytes a second given, 0 for no limit")
	var d distance
	flags.DurationVar(&d.Trip, "trip", 0, "round trip to here")
	flags.DurationVar(&d.Work, "work", 0, "work over each write")
	flags.IntVar(&d.Link, "link", 0, "bytes a second that far clients send together, 0 for no limit")
	flags.IntVar(&d.Each, "each", 0, "bytes a second of each far connection, 0 for no limit")
	flags.BoolVar(&d.Old, "old", false, "HTTP/1.1 alone")
	cert := flags.String("cert", "", "file of a certificate, for TLS")
	key := flags.String("key", "", "file of its key")
	realm := flags.String("realm", "", "address of the service whose tokens are asked for; none: nobody has to log in")
	tokens := flags.Bool("tokens", false, "be that service")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var h http.Handler
	l := light.New()
	h = l
	if *root != "" {
		h = distribution(*root)
	}
	switch {
	case *tokens:
		h = http.HandlerFunc(issue)
	case *realm != "":
		h = guarded(*realm, "bench", working(d.Work, h))
	}
	n := light.NewCounter(h)
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: n, ErrorLog: log.New(io.Discard, "", 0)}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer server.Close()
	if d.Trip > 0 {
		afar := newFarListener(listener, d)
		defer afar.wait()
		if d.Old {
			server.Protocols = new(http.Protocols)
			server.Protocols.SetHTTP1(true)
		}
		wg.Go(func() { _ = server.ServeTLS(afar, *cert, *key) })
	} else {
		wg.Go(func() { _ = server.Serve(slow(listener, *in, *out)) })
	}

	fmt.Println(listener.Addr())
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var o order
		var a answer
		if err := json.Unmarshal(line, &o); err != nil {
			return err
		}
		switch o.Do {
		case "counts":
			a.Counts = n.Snapshot()
		case "forget":
			n.Forget()
		case "wipe":
			n.Forget()
			l.Wipe()
			if *root != "" {
				if err := os.RemoveAll(*root); err != nil {
					a.Error = err.Error()
				}
			}
		case "make":
			a.Digest = l.Make(o.Made)
		case "put":
			a.Digest = l.Put("app", o.Tag, o.Type, o.Manifest)
		}
		reply, err := json.Marshal(a)
		if err != nil {
			return err
		}
		fmt.Println(string(reply))
	}
}

func distribution(root string) http.Handler {
	logrus.SetOutput(io.Discard)
	c := &configuration.Configuration{Storage: configuration.Storage{
		"filesystem":  {"rootdirectory": root},
		"redirect":    {"disable": true},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}}
	c.HTTP.Secret = "bench"
	c.Catalog.MaxEntries = 100
	return handlers.NewApp(context.Background(), c)
}

// slow limits all connections of a listener together: for machines where nobody may
// make a network namespace.
func slow(l net.Listener, in, out int) net.Listener {
	if in == 0 && out == 0 {
		return l
	}
	return &slowListener{l, bucket(in), bucket(out)}
}

const burst = 64 << 10

func bucket(bytes int) *rate.Limiter {
	if bytes == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), burst)
}

type slowListener struct {
	net.Listener
	in, out *rate.Limiter
}

func (l *slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{c, l.in, l.out}, nil
}

type slowConn struct {
	net.Conn
	in, out *rate.Limiter
}

func (c *slowConn) Read(p []byte) (int, error) {
	if c.in == nil {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(len(p), burst)])
	if n > 0 {
		_ = c.in.WaitN(context.Background(), n)
	}
	return n, err
}

func (c *slowConn) Write(p []byte) (int, error) {
	if c.out == nil {
		return c.Conn.Write(p)
	}
	total := 0
	for len(p) > 0 {
		piece := p[:min(len(p), burst)]
		_ = c.out.WaitN(context.Background(), len(piece))
		n, err := c.Conn.Write(piece)
		total += n
		if err != nil {
			return total, err
		}
		p = p[n:]
	}
	return total, nil
}
