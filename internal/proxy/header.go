package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// MaxHeader is the largest length, in bytes, that a header of version 2 may announce for
// what follows its first 16 bytes. Addresses need up to 216; the rest is TLVs.
const MaxHeader = 4096

const (
	shortest = 15  // bytes of "PROXY UNKNOWN\r\n"; no header is shorter
	maxLine  = 107 // bytes of a header of version 1. Source: PROXY protocol, section 2.1
	fixed    = 16  // bytes of a header of version 2 before the addresses

	lineBegin  = "PROXY "
	blockBegin = "\r\n\r\n\x00\r\nQUIT\n"
)

// readHeader reads a header of the PROXY protocol, and not a byte more. It returns the
// client's address, which is not valid if the header does not have one, so that the
// peer's remains.
//
// On a connection that does not begin with a header it takes at most 15 bytes.
func readHeader(r io.Reader) (netip.AddrPort, error) {
	p := make([]byte, 0, maxLine)
	for {
		n, err := missing(p)
		if err != nil {
			return netip.AddrPort{}, err
		}
		if n == 0 {
			return parseHeader(p)
		}
		read := len(p)
		p = append(p, make([]byte, n)...)
		n, err = io.ReadAtLeast(r, p[read:], 1)
		if err == io.EOF && read > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("after %d bytes of a PROXY header: %w", read, err)
		}
		p = p[:read+n]
	}
}

// missing returns how many bytes there are still to come, at the least, of a header that
// begins with p; 0 if p is all of it. The error is that p is not the begin of a header.
//
// Source: PROXY protocol, end of section 2.2.
func missing(p []byte) (int, error) {
	switch {
	case compatible(p, lineBegin):
		return missingOfLine(p)
	case compatible(p, blockBegin):
		return missingOfBlock(p)
	}
	return 0, fmt.Errorf("no PROXY header: the connection begins with %q", p[:min(len(p), shortest)])
}

// compatible reports whether p and begin are equal as far as both go.
func compatible(p []byte, begin string) bool {
	n := min(len(p), len(begin))
	return string(p[:n]) == begin[:n]
}

// missingOfLine asks for two bytes, the end of the line, until the first of them is
// there. That is slow, but version 1 does not say how long it is.
func missingOfLine(p []byte) (int, error) {
	cr, lf := bytes.IndexByte(p, '\r'), bytes.IndexByte(p, '\n')
	last, n := len(p)-1, 2
	switch {
	case lf >= 0 && (lf != last || cr != lf-1), cr >= 0 && lf < 0 && cr != last:
		return 0, fmt.Errorf("the PROXY header %q has a line end that is not CRLF, or is not its end", p)
	case lf >= 0:
		return 0, nil
	case cr >= 0:
		n = 1
	}
	if len(p)+n > maxLine {
		return 0, fmt.Errorf("the PROXY header %q is longer than %d bytes", p, maxLine)
	}
	return max(n, shortest-len(p)), nil
}

func missingOfBlock(p []byte) (int, error) {
	if len(p) < fixed {
		return fixed - len(p), nil
	}
	version, command, length := p[12]>>4, p[12]&0xf, int(binary.BigEndian.Uint16(p[14:]))
	switch {
	case version != 2:
		return 0, fmt.Errorf("the PROXY header has version %d, want 1 or 2", version)
	case command > 1:
		return 0, fmt.Errorf("the PROXY header has command %d, want 0 or 1", command)
	case length > MaxHeader:
		return 0, fmt.Errorf("the PROXY header announces %d bytes, limit %d", length, MaxHeader)
	}
	return fixed + length - len(p), nil
}

// parseHeader reads a complete header.
func parseHeader(p []byte) (netip.AddrPort, error) {
	if p[0] == lineBegin[0] {
		return parseLine(string(p[:len(p)-len("\r\n")]))
	}
	return parseBlock(p)
}

// parseLine reads a header of version 1, without its end:
//
//	PROXY TCP4 192.0.2.1 198.51.100.1 56324 443
//
// Source: PROXY protocol, section 2.1.
func parseLine(line string) (netip.AddrPort, error) {
	fields := strings.Split(line, " ")
	if fields[1] == "UNKNOWN" { // whatever follows
		return netip.AddrPort{}, nil
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return netip.AddrPort{}, fmt.Errorf("the PROXY header %q is not TCP4 or TCP6 with two addresses and two ports, nor UNKNOWN", line)
	}
	is4 := fields[1] == "TCP4"
	client, err := parseEnd(fields[2], fields[4], is4)
	if err == nil {
		_, err = parseEnd(fields[3], fields[5], is4)
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the PROXY header %q: %v", line, err)
	}
	return client, nil
}

// parseEnd reads the address and port of one end of a connection. IPv6 addresses may
// end like IPv4 ones, because that is how systems print those that are mapped.
func parseEnd(host, port string, is4 bool) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Is4() != is4 || addr.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address of this family", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, fmt.Errorf("%q is not a port", port)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}

// Address families and transports of version 2, and the bytes of two addresses.
const (
	inet, inet6, unix   = 1, 2, 3
	stream, datagram    = 1, 2
	inetSize, inet6Size = 2*4 + 2*2, 2*16 + 2*2
	unixSize            = 2 * 108
)

// parseBlock reads a header of version 2. TLVs are skipped, checksums too.
//
// Source: PROXY protocol, section 2.2.
func parseBlock(p []byte) (netip.AddrPort, error) {
	family, transport, body := p[13]>>4, p[13]&0xf, p[fixed:]
	switch local := p[12]&0xf == 0; {
	case local:
		return netip.AddrPort{}, nil // the proxy's own connection: the family is ignored
	case family > unix || transport > datagram:
		return netip.AddrPort{}, fmt.Errorf("the PROXY header has family %d and transport %d, want at most %d and %d", family, transport, unix, datagram)
	case family == 0 || transport != stream:
		return netip.AddrPort{}, nil // not known, or not possible here
	}
	if size := [...]int{inet: inetSize, inet6: inet6Size, unix: unixSize}[family]; len(body) < size {
		return netip.AddrPort{}, fmt.Errorf("the PROXY header has %d bytes of addresses of family %d, want %d", len(body), family, size)
	}
	switch family {
	case inet:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:])), nil
	case inet6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)).Unmap(), binary.BigEndian.Uint16(body[32:])), nil
	}
	return netip.AddrPort{}, nil
}
