package stream

import "strconv"

// appendChunk appends data as one chunk, or nothing if data is empty: an empty
// chunk would end the body.
//
// Source: RFC 9112, section 7.1.
func appendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(len(data)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// frame returns p as it goes onto the wire of c. It copies.
func (c *Conn) frame(p []byte) []byte {
	if c.framing == chunked {
		return appendChunk(make([]byte, 0, len(p)+20), p)
	}
	return append(make([]byte, 0, len(p)), p...)
}
