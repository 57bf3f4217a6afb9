package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// contender is one way to do a piece of work.
type contender struct {
	who    string
	do     func(context.Context) (cost, error)
	before func(context.Context) (cost, error) // not measured: what destinations have already; nil for nothing
}

// contest lets all contenders do the same work in turns, and counts what the servers
// saw.
func (b *bench) contest(ctx context.Context, name string, st *stage, limit time.Duration, bytes int64, all []contender) ([]*line, error) {
	var lines []*line
	for _, c := range all {
		lines = append(lines, &line{Work: name, Who: c.who, Bytes: bytes, Limit: limit})
	}
	for round := range b.rounds {
		for i, c := range all {
			if err := st.empty(); err != nil {
				return nil, err
			}
			if c.before != nil {
				if _, err := c.before(ctx); err != nil {
					return nil, fmt.Errorf("%s, before: %w", c.who, err)
				}
				if err := st.forget(); err != nil {
					return nil, err
				}
			}
			cost, err := c.do(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.who, err)
			}
			source, to, err := st.counts()
			if err != nil {
				return nil, err
			}
			s := sample{Seconds: cost.Time.Seconds(), CPU: cost.CPU.Seconds(), Peak: cost.Peak, SourceBytes: source.BlobBytes, Requests: source.Requests}
			for _, t := range to {
				s.Requests += t.Requests
			}
			lines[i].Samples = append(lines[i].Samples, s)
			say("%s, round %d: %s: %.2f s, CPU %.2f s, %d MiB, source %.2f MB", name, round+1, c.who, s.Seconds, s.CPU, s.Peak>>20, float64(s.SourceBytes)/1e6)
		}
	}
	b.report.Lines = append(b.report.Lines, lines...)
	return lines, nil
}

const us = "multi-registry-push"

// copiers are the tools that copy from a registry.
func (b *bench) copiers(st *stage) []contender {
	n, t := st.network, b.tools
	all := []contender{{who: us, do: func(ctx context.Context) (cost, error) {
		return n.run(ctx, t.ours(spec(), st.hosts(), os.DevNull))
	}}}
	add := func(who string, processes func() []process) {
		all = append(all,
			contender{who: who + " ×4", do: func(ctx context.Context) (cost, error) { return n.serial(ctx, processes()) }},
			contender{who: who + ", 4 at once", do: func(ctx context.Context) (cost, error) { return n.parallel(ctx, processes()) }})
	}
	add("crane copy", func() []process { return t.craneCopy(sourceAddr, st.hosts()) })
	add("regctl image copy", func() []process { return t.regctlCopy(sourceAddr, st.hosts()) })
	if t.skopeo != "" {
		add("skopeo copy --all", func() []process { return t.skopeoCopy(spec(), st.hosts(), "--all") })
	}
	return all
}

// loopback is one registry to four as fast as the machine can.
func (b *bench) loopback(ctx context.Context) error {
	st, end, err := b.stage(ctx, false, false)
	if err != nil {
		return err
	}
	defer end()
	lines, err := b.contest(ctx, "1 registry → 4, loopback", st, 0, b.image.BlobBytes(), b.copiers(st))
	if err != nil {
		return err
	}
	ours := lines[0]
	best, cpu := lines[1], lines[1]
	for _, l := range lines[1:] {
		if isAtOnce(l.Who) && (!isAtOnce(best.Who) || l.seconds() < best.seconds()) {
			best = l
		}
		if l.cpu() < cpu.cpu() {
			cpu = l
		}
	}
	b.goal("1 registry → 4, loopback: time", "0.75 × the best tool run four at once", ours.seconds() <= 0.75*best.seconds(),
		"%.2f s; %s %.2f s: %.2f × of it", ours.seconds(), best.Who, best.seconds(), ours.seconds()/best.seconds())
	b.goal("1 registry → 4, loopback: CPU", "0.6 × the CPU of any", ours.cpu() <= 0.6*cpu.cpu(),
		"%.2f s; %s %.2f s: %.2f × of it", ours.cpu(), cpu.Who, cpu.cpu(), ours.cpu()/cpu.cpu())
	b.goal("bytes read from a remote source", "1.00 × the bytes that some destination lacks", ours.sourceBytes() == b.image.BlobBytes(),
		"%.2f ×", float64(ours.sourceBytes())/float64(b.image.BlobBytes()))
	return nil
}

// throttledCopy is the same over links of 200 Mbit/s.
func (b *bench) throttledCopy(ctx context.Context) error {
	st, end, err := b.stage(ctx, true, false)
	if err != nil {
		return err
	}
	defer end()
	limit := b.limit()
	lines, err := b.contest(ctx, "1 registry → 4, 200 Mbit/s each", st, limit, b.image.BlobBytes(), b.copiers(st))
	if err != nil {
		return err
	}
	ours := lines[0]
	var serial, atOnce *line
	for _, l := range lines[1:] {
		best := &serial
		if isAtOnce(l.Who) {
			best = &atOnce
		}
		if *best == nil || l.seconds() < (*best).seconds() {
			*best = l
		}
	}
	ratio := ours.seconds() / limit.Seconds()
	b.goal("1 registry → 4, throttled: limit", "at most 1.02 × the limit", ratio <= 1.02, "%.2f s of %.2f s: %.3f ×", ours.seconds(), limit.Seconds(), ratio)
	faster := serial.seconds() / ours.seconds()
	b.goal("1 registry → 4, throttled: one by one", "at least 3.9 × faster than the best one-by-one tool", faster >= 3.9, "%.2f × faster than %s (%.2f s)", faster, serial.Who, serial.seconds())
	b.goal("1 registry → 4, throttled: at once", "faster than four at once", ours.seconds() < atOnce.seconds(), "%.2f × faster than %s (%.2f s)", atOnce.seconds()/ours.seconds(), atOnce.Who, atOnce.seconds())
	return nil
}

// limit is the time that the image's bytes take over one link.
func (b *bench) limit() time.Duration {
	return time.Duration(float64(b.image.Size()) * 8 / linkRate * float64(time.Second))
}

// fromArchive is an OCI archive to four throttled links.
func (b *bench) fromArchive(ctx context.Context) error {
	path, err := archive(b.image, b.folder)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	st, end, err := b.stage(ctx, true, false)
	if err != nil {
		return err
	}
	defer end()
	n := st.network
	all := []contender{{who: us, do: func(ctx context.Context) (cost, error) {
		return n.run(ctx, b.tools.ours("oci-archive:"+path, st.hosts(), os.DevNull))
	}}}
	if b.tools.skopeo != "" {
		processes := func() []process { return b.tools.skopeoCopy("oci-archive:"+path, st.hosts(), "--all") }
		all = append(all, contender{who: "skopeo copy --all ×4", do: func(ctx context.Context) (cost, error) { return n.serial(ctx, processes()) }},
			contender{who: "skopeo copy --all, 4 at once", do: func(ctx context.Context) (cost, error) { return n.parallel(ctx, processes()) }})
	}
	limit := b.limit()
	lines, err := b.contest(ctx, "OCI archive → 4, 200 Mbit/s each", st, limit, b.image.BlobBytes(), all)
	if err != nil {
		return err
	}
	ratio := lines[0].seconds() / limit.Seconds()
	b.goal("OCI archive → 4, throttled", "at most 1.02 × the limit", ratio <= 1.02, "%.2f s of %.2f s: %.3f ×", lines[0].seconds(), limit.Seconds(), ratio)
	return nil
}

// oneSlow is four links of which one has a tenth of the rate.
func (b *bench) oneSlow(ctx context.Context) error {
	output := b.folder + "/output"
	// fastest three: when the last of them was done.
	measure := func(slow bool) (float64, error) {
		st, end, err := b.stage(ctx, true, slow)
		if err != nil {
			return 0, err
		}
		defer end()
		var all []float64
		rounds := b.rounds
		if slow {
			rounds = 1 // each takes two minutes
		}
		for range rounds {
			_ = os.Remove(output)
			if err := st.empty(); err != nil {
				return 0, err
			}
			c, err := st.network.run(ctx, b.tools.ours(spec(), st.hosts(), output))
			if err != nil {
				return 0, err
			}
			source, _, err := st.counts()
			if err != nil {
				return 0, err
			}
			r, err := results(output)
			if err != nil {
				return 0, err
			}
			if len(r.Registries) != 4 {
				return 0, errors.New("our program's output lacks results")
			}
			var last int64
			for _, g := range r.Registries {
				if g.Registry != st.to[3].Addr {
					last = max(last, g.DurationMs)
				}
			}
			all = append(all, float64(last)/1000)
			say("one slow registry %v: %.2f s for the other three, %.2f s for all, source %d bytes, %d MiB", slow, float64(last)/1000, c.Time.Seconds(), source.BlobBytes, c.Peak>>20)
		}
		return median(all), nil
	}
	without, err := measure(false)
	if err != nil {
		return err
	}
	with, err := measure(true)
	if err != nil {
		return err
	}
	b.goal("one slow registry (1/10 of the rate) among four", "the other three finish as if it were not there", with <= 1.03*without,
		"%.2f s beside it, %.2f s without: %.3f ×", with, without, with/without)
	return nil
}
