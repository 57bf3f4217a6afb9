package transport

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// learnHome notes whether the registry's own address is a private one. Such a
// registry may name its neighbours; a public one may not. A name that was a public
// address once stays public: whoever answers for it may say something else the next time.
func (h *Host) learnHome(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	if ip := literal(host); ip != nil {
		if !private(ip) {
			h.public.Store(true)
		}
		h.private.Store(!h.public.Load())
	}
	return nil
}

// checkAway refuses connections to addresses that a registry must not send us to.
// It sees the resolved address, after DNS and right before connect.
func (h *Host) checkAway(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return &UnsafeError{fmt.Sprintf("address %q", address)}
	}
	ip := net.ParseIP(strings.SplitN(host, "%", 2)[0])
	if ip == nil {
		return &UnsafeError{fmt.Sprintf("address %q", address)}
	}
	return h.checkIP(ip)
}

func (h *Host) checkIP(ip net.IP) error {
	switch {
	case never(ip):
		return &UnsafeError{fmt.Sprintf("%s is an address that no registry may name", ip)}
	case private(ip) && !h.private.Load():
		return &UnsafeError{fmt.Sprintf("%s is a private address, and the registry is a public one", ip)}
	}
	return nil
}

// CheckURL judges a URL that came from the registry: a redirect, a Location or a
// realm on another host. Host names are judged again when they are dialled.
func (h *Host) CheckURL(u *url.URL) error {
	plain := h.o.Insecure || h.loopback && imageref.Loopback(u.Host)
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return &UnsafeError{fmt.Sprintf("a URL with the scheme %q", u.Scheme)}
	case u.Scheme == "http" && !plain:
		return &UnsafeError{fmt.Sprintf("plain HTTP at %s", u.Host)}
	case u.Hostname() == "":
		return &UnsafeError{"a URL without a host"}
	case !dialledAsWritten(u.Host):
		return &UnsafeError{fmt.Sprintf("the host %q, which holds more than letters, digits, dots and hyphens", u.Host)}
	}
	if ip := literal(u.Hostname()); ip != nil {
		return h.checkIP(ip)
	}
	if imageref.Loopback(u.Host) && !h.private.Load() {
		return &UnsafeError{fmt.Sprintf("%s is this machine, and the registry is a public one", u.Host)}
	}
	return nil
}

// literal returns the address that a host name spells, nil if it has to be resolved.
// It knows the spellings of inet_aton(3) too, as resolvers and proxies do: 0xa9fea9fe,
// 2852039166, 169.254.43518, 127.1, 0251.0376.0251.0376.
func literal(host string) net.IP {
	host, _, _ = strings.Cut(host, "%")
	if ip := net.ParseIP(host); ip != nil {
		return ip
	}
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return nil
	}
	var address uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		n, err := strconv.ParseUint(cNumber(part), 0, bits)
		if err != nil {
			return nil
		}
		address = address<<bits | n
	}
	return net.IPv4(byte(address>>24), byte(address>>16), byte(address>>8), byte(address))
}

// cNumber returns a number as C writes it in a form that strconv takes in the same
// way, "" for what is none: Go's 0b1, 0o7 and 1_000 are names to a resolver.
func cNumber(s string) string {
	if digits, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok && strings.Trim(digits, "0123456789abcdef") == "" {
		return "0x" + digits
	}
	if strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return s
}

// prefixes that net.IP has no predicate for.
func in(ip net.IP, prefixes ...string) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return false
	}
	return slices.ContainsFunc(prefixes, func(p string) bool { return netip.MustParsePrefix(p).Contains(addr.Unmap()) })
}

// embedded returns the IPv4 address inside a NAT64 or 6to4 address, else ip.
func embedded(ip net.IP) net.IP {
	if ip.To4() != nil {
		return ip
	}
	switch {
	case in(ip, "64:ff9b::/96"):
		return ip[12:16]
	case in(ip, "2002::/16"):
		return ip[2:6]
	}
	return ip
}

// never: link-local (where cloud metadata services are), multicast, unspecified, and
// the metadata services that live elsewhere.
func never(ip net.IP) bool {
	ip = embedded(ip)
	return ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip.Equal(net.IPv4bcast) ||
		in(ip, "0.0.0.0/8",
			"fd00:ec2::/32",      // Amazon
			"168.63.129.16/32",   // Azure
			"fd20:ce::254/128",   // Google
			"192.0.0.192/32",     // Oracle
			"100.100.100.200/32") // Alibaba
}

// private: this machine and networks that are not the Internet (RFC 1918, 4193, 6598).
func private(ip net.IP) bool {
	ip = embedded(ip)
	return ip.IsLoopback() || ip.IsPrivate() || in(ip, "100.64.0.0/10")
}
