package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Addresses of the servers, all of them loopback. The source is at .10, destinations from
// .11 on.
const sourceAddr = "127.0.0.10:5000"

func destinationAddr(i int) string { return fmt.Sprintf("127.0.0.%d:5000", 11+i) }

// Rates of the throttled measures, bits a second.
const (
	linkRate   = 200e6 // to each destination
	sourceRate = 800e6
	slowRate   = linkRate / 10
)

// network is where servers and clients run. The zero value is the machine's own.
type network struct {
	namespace string // of the kernel, "" for the machine's own
	hosts     string // folder of the namespace's file of hosts, "" if it has none
	throttled bool
	slowLast  bool // the fourth destination has a tenth of the rate
	second    int  // bytes a second that the second destination takes, 0 for no limit
}

// newNamespace makes a network namespace with a loopback of its own, shaped by tc if
// throttled. It needs root.
func newNamespace(ctx context.Context, throttled, slowLast bool) (*network, error) {
	n := &network{namespace: fmt.Sprintf("mrp-bench-%d", os.Getpid()), throttled: throttled, slowLast: slowLast}
	if err := command(ctx, "ip", "netns", "add", n.namespace); err != nil {
		return nil, err
	}
	steps := [][]string{{"ip", "-n", n.namespace, "link", "set", "lo", "up"}}
	if throttled {
		tc := func(args string) { steps = append(steps, n.wrap(append([]string{"tc"}, strings.Fields(args)...))) }
		tc("qdisc add dev lo root handle 1: htb default 99 r2q 1000")
		tc("class add dev lo parent 1: classid 1:99 htb rate 100gbit quantum 200000")
		class := func(id int, rate float64, match string) {
			// A burst of some packets of loopback's 64 KiB: less would lower the rate.
			tc(fmt.Sprintf("class add dev lo parent 1: classid 1:%d htb rate %.0fbit burst 256k cburst 256k quantum 200000", id, rate))
			tc(fmt.Sprintf("filter add dev lo parent 1: protocol ip prio 1 u32 match ip %s/32 flowid 1:%d", match, id))
		}
		class(10, sourceRate, "src 127.0.0.10")
		for i := range 4 {
			rate := linkRate
			if slowLast && i == 3 {
				rate = slowRate
			}
			class(11+i, rate, "dst 127.0.0."+strconv.Itoa(11+i))
		}
	}
	for _, s := range steps {
		if err := command(ctx, s[0], s[1:]...); err != nil {
			n.close()
			return nil, err
		}
	}
	return n, nil
}

// wrap returns the command line that runs args inside.
func (n *network) wrap(args []string) []string {
	if n.namespace == "" {
		return args
	}
	return append([]string{"ip", "netns", "exec", n.namespace}, args...)
}

// rates returns what a server has to limit by itself: nothing where the kernel does.
func (n *network) rates(i int) (in, out int) {
	if i == 1 && n.second > 0 {
		return n.second, 0
	}
	if !n.throttled || n.namespace != "" {
		return 0, 0
	}
	switch {
	case i < 0:
		return 0, sourceRate / 8
	case n.slowLast && i == 3:
		return slowRate / 8, 0
	}
	return linkRate / 8, 0
}

// nameHosts gives the namespace a file of hosts of its own, which "ip netns exec" puts over the
// machine's for what it runs.
func (n *network) nameHosts(addresses map[string]string) error {
	n.hosts = "/etc/netns/" + n.namespace
	if err := os.MkdirAll(n.hosts, 0o755); err != nil {
		return err
	}
	text := "127.0.0.1 localhost\n"
	for name, address := range addresses {
		text += address + " " + name + "\n"
	}
	return os.WriteFile(n.hosts+"/hosts", []byte(text), 0o644)
}

func (n *network) close() {
	if n.hosts != "" {
		_ = os.RemoveAll(n.hosts)
	}
	if n.namespace != "" {
		_ = command(context.Background(), "ip", "netns", "del", n.namespace)
		n.namespace = ""
	}
}

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
