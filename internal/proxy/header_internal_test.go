package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// block is a header of version 2 whose body has the given bytes.
func block(command, family byte, body string) string {
	p := append([]byte(blockBegin), 0x20|command, family, 0, 0)
	binary.BigEndian.PutUint16(p[14:], uint16(len(body)))
	return string(p) + body
}

const (
	body4 = "\xc0\x00\x02\x01" + "\xc6\x33\x64\x01" + "\xdc\x04" + "\x01\xbb"
	body6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\xdc\x04" + "\x01\xbb"
	mapped6 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x01" + "\xdc\x04" + "\x01\xbb"
	tlvs = "\x04\x00\x03abc" + "\x20\x00\x05\x01\x00\x00\x00\x00"
)

var bodyUnix = strings.Repeat("/run/x\x00", 31)[:216]

func TestHeadersNameTheClient(t *testing.T) {
	const v4, v6, peer = "192.0.2.1:56324", "[2001:db8::1]:56324", "invalid AddrPort"
	for name, c := range map[string]struct{ header, want string }{
		"version 1, IPv4":            {"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", v4},
		"version 1, IPv6":            {"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", v6},
		"version 1, upper case":      {"PROXY TCP6 2001:DB8:0:0:0:0:0:1 2001:DB8::2 56324 443\r\n", v6},
		"version 1, mapped":          {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 56324 443\r\n", v4},
		"version 1, mapped, hex":     {"PROXY TCP6 ::ffff:c000:201 ::ffff:c000:202 56324 443\r\n", v4},
		"version 1, shortest":        {"PROXY TCP6 :: :: 0 0\r\n", "[::]:0"},
		"version 1, longest":         {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
		"version 1, unknown":         {"PROXY UNKNOWN\r\n", peer},
		"version 1, unknown, full":   {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", peer},
		"version 1, unknown, text":   {"PROXY UNKNOWN 6.6.6.6 \x00\xff  what\r\n", peer},
		"version 2, IPv4":            {block(1, 0x11, body4), v4},
		"version 2, IPv6":            {block(1, 0x21, body6), v6},
		"version 2, mapped":          {block(1, 0x21, mapped6), v4},
		"version 2, TLVs":            {block(1, 0x11, body4+tlvs), v4},
		"version 2, IPv6, TLVs":      {block(1, 0x21, body6+tlvs), v6},
		"version 2, TLVs in shreds":  {block(1, 0x11, body4+"\x20\xff\xff"), v4},
		"version 2, largest":         {block(1, 0x11, body4+strings.Repeat("x", MaxHeader-len(body4))), v4},
		"version 2, local":           {block(0, 0x00, ""), peer},
		"version 2, local, IPv4":     {block(0, 0x11, body4), peer},
		"version 2, local, nonsense": {block(0, 0xff, "x"), peer},
		"version 2, unspecified":     {block(1, 0x00, ""), peer},
		"version 2, unspecified too": {block(1, 0x10, body4), peer},
		"version 2, unspecified six": {block(1, 0x01, tlvs), peer},
		"version 2, datagrams":       {block(1, 0x12, body4), peer},
		"version 2, unix":            {block(1, 0x31, bodyUnix), peer},
		"version 2, unix datagrams":  {block(1, 0x32, bodyUnix), peer},
	} {
		for reader, wrap := range map[string]func(io.Reader) io.Reader{
			"whole":  func(r io.Reader) io.Reader { return r },
			"bytes":  iotest.OneByteReader,
			"halves": iotest.HalfReader,
		} {
			rest := strings.NewReader(c.header + "GET / HTTP/1.1\r\n")
			got, err := readHeader(wrap(rest))
			if got.String() != c.want || err != nil {
				t.Errorf("%s, read as %s: %v, %v, want %s", name, reader, got, err, c.want)
			}
			if left, _ := io.ReadAll(rest); string(left) != "GET / HTTP/1.1\r\n" {
				t.Errorf("%s, read as %s: left is %q", name, reader, left)
			}
		}
		if _, err := readHeader(strings.NewReader(c.header[:len(c.header)-1])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s, without its last byte: %v", name, err)
		}
	}
	if _, err := readHeader(strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("no byte: %v, want io.EOF", err)
	}
}

func TestBadHeadersAreRefused(t *testing.T) {
	const begin = "no PROXY header: the connection begins with "
	version := []byte(block(1, 0x11, body4))
	version[12] = 0x11
	for _, c := range []struct{ header, want string }{
		{"GET / HTTP/1.1\r\nX: y", begin + `"GET / HTTP/1.1\r"`},
		{"P", "after 1 bytes of a PROXY header: unexpected EOF"},
		{"POST / HTTP/1.1\r\nX: y", begin + `"POST / HTTP/1.1"`},
		{"PRI * HTTP/2.0\r\n", begin + `"PRI * HTTP/2.0\r"`},
		{"PROXYTCP4 192.0.2.1", begin + `"PROXYTCP4 192.0"`},
		{"proxy TCP4 192.0.2.1", begin + `"proxy TCP4 192."`},
		{" PROXY TCP4 192.0.2.1", begin + `" PROXY TCP4 192"`},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcd", begin + `"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcd"`},
		{"\r\n\r\n\x00\r\nQUIT\rxxxxxx", begin + `"\r\n\r\n\x00\r\nQUIT\rxxx"`},

		{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n", "CRLF"},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\r\n", "CRLF"},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r443\r\n", "CRLF"},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r44", "CRLF"}, // at once
		{"PROXY TCP4\r\nGET / HTTP/1.1\r\n\r\n", "CRLF"},
		{"PROXY UNKNOWN" + strings.Repeat(" ", 93) + "\r\n", "longer than 107 bytes"},
		{"PROXY UNKNOWN" + strings.Repeat(" ", 93) + "\r", "longer than 107 bytes"},
		{"PROXY UNKNOWNX 192.0.2.1\r\n", "nor UNKNOWN"},
		{"PROXY unknown 192.0.2.1\r\n", "nor UNKNOWN"},
		{"PROXY  UNKNOWN\r\n", "nor UNKNOWN"},
		{"PROXY \r\n12345678", "CRLF"},
		{"PROXY          \r\n", "nor UNKNOWN"},
		{"PROXY UDP4 192.0.2.1 198.51.100.1 56324 443\r\n", "nor UNKNOWN"},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", "two ports"},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n", "two ports"},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n", "two ports"},
		{"PROXY TCP4  192.0.2.1 198.51.100.1 56324 443\r\n", "two ports"},
		{"PROXY TCP4 192.0.2.1\t198.51.100.1 56324 443 1\r\n", `"192.0.2.1\t198.51.100.1" is not an address`},
		{"PROXY TCP4 192.0.2.01 198.51.100.1 56324 443\r\n", `"192.0.2.01" is not an address`},
		{"PROXY TCP4 192.0.2 198.51.100.1 56324 443\r\n", `"192.0.2" is not an address`},
		{"PROXY TCP4 2001:db8::1 2001:db8::2 56324 443\r\n", `"2001:db8::1" is not an address`},
		{"PROXY TCP4 ::ffff:192.0.2.1 198.51.100.1 56324 443\r\n", `"::ffff:192.0.2.1" is not an address`},
		{"PROXY TCP6 192.0.2.1 198.51.100.1 56324 443\r\n", `"192.0.2.1" is not an address`},
		{"PROXY TCP6 2001:db8::1 198.51.100.1 56324 443\r\n", `"198.51.100.1" is not an address`},
		{"PROXY TCP6 fe80::1%eth0 2001:db8::2 56324 443\r\n", `"fe80::1%eth0" is not an address`},
		{"PROXY TCP6 [2001:db8::1] 2001:db8::2 56324 443\r\n", `"[2001:db8::1]" is not an address`},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n", `"056324" is not a port`},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", `"65536" is not a port`},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n", `"-1" is not a port`},
		{"PROXY TCP4 192.0.2.1 198.51.100.1 1 x\r\n", `"x" is not a port`},

		{string(version), "the PROXY header has version 1, want 1 or 2"},
		{block(2, 0x11, body4), "the PROXY header has command 2, want 0 or 1"},
		{block(1, 0x41, bodyUnix), "the PROXY header has family 4 and transport 1, want at most 3 and 2"},
		{block(1, 0x13, body4), "the PROXY header has family 1 and transport 3, want at most 3 and 2"},
		{block(1, 0x11, body4[:11]), "the PROXY header has 11 bytes of addresses of family 1, want 12"},
		{block(1, 0x21, body6[:35]), "the PROXY header has 35 bytes of addresses of family 2, want 36"},
		{block(1, 0x31, bodyUnix[:215]), "the PROXY header has 215 bytes of addresses of family 3, want 216"},
		{block(1, 0x11, strings.Repeat("x", MaxHeader+1)), "the PROXY header announces 4097 bytes, limit 4096"},
		{block(0, 0x00, strings.Repeat("x", 65535)), "the PROXY header announces 65535 bytes, limit 4096"},
	} {
		if got, err := readHeader(strings.NewReader(c.header)); err == nil || !strings.Contains(err.Error(), c.want) || got.IsValid() {
			t.Errorf("readHeader(%q) = %v,\n%v, want\n%s", c.header, got, err, c.want)
		}
	}
}

// FuzzHeaderIsReadExactly: a header is the same whatever follows it and however it
// arrives, and no byte behind it is read.
func FuzzHeaderIsReadExactly(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"), []byte("GET"))
	f.Add([]byte("PROXY TCP6 ::1 ::2 1 2\r\n"), []byte("\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"), []byte("\r\n"))
	f.Add([]byte(block(1, 0x11, body4)), []byte(body4))
	f.Add([]byte(block(1, 0x21, body6+tlvs)), []byte{})
	f.Add([]byte(block(0, 0x00, "")), []byte("PROXY"))
	f.Add([]byte(block(1, 0x31, bodyUnix)), []byte("x"))
	f.Fuzz(func(t *testing.T, p, more []byte) {
		r := bytes.NewReader(p)
		client, err := readHeader(r)
		used := len(p) - r.Len()
		if used > fixed+MaxHeader || err != nil && client.IsValid() || client.Addr().Is4In6() || client.Addr().Zone() != "" {
			t.Fatalf("readHeader(%q) = %v, %v, reads %d bytes", p, client, err, used)
		}
		if err != nil {
			return
		}
		for _, follows := range [][]byte{nil, more} {
			checkExact(t, append(bytes.Clone(p[:used]), follows...), used, client)
		}
		for n := range used {
			if _, err := readHeader(bytes.NewReader(p[:n])); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				t.Fatalf("readHeader(%q), %d of %d bytes: %v", p[:n], n, used, err)
			}
		}
	})
}

func checkExact(t *testing.T, p []byte, want int, client netip.AddrPort) {
	t.Helper()
	r := bytes.NewReader(p)
	for _, reader := range []io.Reader{r, iotest.OneByteReader(r), iotest.HalfReader(r)} {
		r.Reset(p)
		got, err := readHeader(reader)
		if used := len(p) - r.Len(); got != client || err != nil || used != want {
			t.Fatalf("readHeader(%q) = %v, %v, reads %d bytes, want %v and %d", p, got, err, used, client, want)
		}
	}
}
