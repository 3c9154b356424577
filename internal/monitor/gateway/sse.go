package gateway

import (
	"bytes"
	"errors"
	"io"
)

// frame is one server-sent event: its data lines joined as the standard says, or a comment.
type frame struct {
	data    []byte
	lines   int
	comment bool
}

var errEventTooBig = errors.New("the upstream sent an event larger than the limit")

// frames cuts a byte stream into events (WHATWG HTML, 9.2.6): lines end with CRLF, LF or CR, an empty
// line ends an event, a byte order mark at the very beginning is skipped. Names, ids and retry times of events
// are not passed on: the chat API does not use them, and they would be text that nobody inspects.
type frames struct {
	src   io.Reader
	limit int
	buf   []byte
	r, w  int // unread part of buf
	began bool
	cr    bool // the last line ended with CR: a LF right behind it belongs to it
	size  int  // bytes of the event so far
	err   error
}

func newFrames(src io.Reader, limit int) *frames {
	return &frames{src: src, limit: limit, buf: make([]byte, 16<<10)}
}

// next fills f with the next event or comment. An event that the end of the stream cuts off is dropped,
// as the standard wants; the error is then io.EOF all the same.
func (s *frames) next(f *frame) error {
	f.data, f.lines, f.comment = f.data[:0], 0, false
	s.size = 0
	has := false
	for {
		line, err := s.line()
		if err != nil {
			return err
		}
		if s.size += len(line) + 1; s.size > s.limit {
			return errEventTooBig
		}
		switch {
		case len(line) == 0:
			if has {
				return nil
			}
			s.size = 0
		case line[0] == ':':
			if !has { // a heartbeat between events; its words are not passed on
				f.comment = true
				return nil
			}
		default:
			name, value, _ := bytes.Cut(line, []byte{':'})
			if string(name) != "data" {
				continue
			}
			value = bytes.TrimPrefix(value, []byte{' '})
			if has {
				f.data = append(f.data, '\n')
			}
			f.data = append(f.data, value...)
			f.lines++
			has = true
		}
	}
}

// line gives the next line without its end; it is valid until the next call.
func (s *frames) line() ([]byte, error) {
	searched := 0
	for {
		if !s.began && s.w-s.r >= 3 {
			s.began = true
			if bytes.HasPrefix(s.buf[s.r:s.w], []byte("\xef\xbb\xbf")) {
				s.r += 3
			}
		}
		if s.cr && s.r < s.w {
			s.cr = false
			if s.buf[s.r] == '\n' {
				s.r++
			}
			searched = 0
		}
		if s.began && !s.cr {
			if at := lineEnd(s.buf[s.r+searched : s.w]); at >= 0 {
				at += searched
				line := s.buf[s.r : s.r+at]
				s.cr = s.buf[s.r+at] == '\r'
				s.r += at + 1
				return line, nil
			}
			searched = s.w - s.r
		}
		if s.err != nil {
			if !s.began && s.w > s.r { // shorter than a byte order mark
				s.began = true
				continue
			}
			return nil, s.err
		}
		if s.w-s.r > s.limit {
			return nil, errEventTooBig
		}
		if s.r > 0 {
			s.w = copy(s.buf, s.buf[s.r:s.w])
			s.r = 0
		}
		if s.w == len(s.buf) {
			s.buf = append(s.buf, make([]byte, len(s.buf))...)
		}
		var n int
		n, s.err = s.src.Read(s.buf[s.w:])
		s.w += n
	}
}

// lineEnd is the place of the first CR or LF, -1 if there is none.
func lineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}
