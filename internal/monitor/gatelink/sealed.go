package gatelink

import (
	"bufio"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// A spool file is a header and frames. Header: the four bytes of magic, and the 32 bytes of encapsulated key. Frame:
// the length of what follows, four bytes, big endian, and one row as JSON, sealed. Whoever holds the gateway's disk
// reads nothing of it. A frame that was not written to its end, which only the last can be, is no row.
const (
	spoolMagic  = "FSP1"
	spoolHeader = len(spoolMagic) + 32
	maxFrame    = 4 << 20
)

// row is one thing that a gateway saw; exactly one of the first three is set. Content belongs to it.
type row struct {
	Traffic   *telemetry.Traffic   `json:"t,omitzero"`
	Signal    *telemetry.Signal    `json:"s,omitzero"`
	Aggregate *telemetry.Aggregate `json:"a,omitzero"`
	Content   *telemetry.Content   `json:"c,omitzero"`
}

// stands is how many rows this one stands for.
func (r row) stands() int64 {
	switch {
	case r.Signal != nil && r.Signal.Count > 1:
		return int64(r.Signal.Count)
	case r.Aggregate != nil:
		return int64(r.Aggregate.Count)
	}
	return 1
}

// frames seals rows for one spool file.
type frames struct {
	w      io.Writer
	sender *hpke.Sender
}

func newFrames(w io.Writer, spoolKey []byte) (*frames, error) {
	pub, err := publicOf(spoolKey)
	if err != nil {
		return nil, err
	}
	kdf, aead := suite()
	enc, sender, err := hpke.NewSender(pub, kdf, aead, []byte(infoSpool))
	if err != nil {
		return nil, err
	}
	_, err = w.Write(append([]byte(spoolMagic), enc...))
	return &frames{w, sender}, err
}

// sealing bounds what sealing adds to a row, in bytes.
const sealing = 64

// write appends a row by one write, so that killing the process leaves whole frames and at most one torn one. Content
// that would make a frame longer than control reads is left out: it would cost every row of the file.
func (f *frames) write(r row) (n int, leftOut bool, err error) {
	js, err := json.Marshal(r)
	if err == nil && len(js) > maxFrame-sealing && r.Content != nil {
		r.Content, leftOut = nil, true
		js, err = json.Marshal(r)
	}
	if err == nil && len(js) > maxFrame-sealing {
		err = fmt.Errorf("a row of %d bytes is longer than a frame", len(js))
	}
	if err != nil {
		return 0, leftOut, err
	}
	sealed, err := f.sender.Seal(nil, js)
	if err != nil {
		return 0, leftOut, err
	}
	frame := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(sealed)), uint32(len(sealed))), sealed...)
	n, err = f.w.Write(frame)
	return n, leftOut, err
}

// countFrames is how many rows a spool file has, as far as it can be read; what they hold stays sealed.
func countFrames(in io.ReadSeeker) (n int64) {
	end, err := in.Seek(0, io.SeekEnd)
	for at := int64(spoolHeader); err == nil; n++ {
		var size [4]byte
		if _, err = in.Seek(at, io.SeekStart); err != nil {
			break
		}
		if _, err = io.ReadFull(in, size[:]); err != nil {
			break
		}
		if at += 4 + int64(binary.BigEndian.Uint32(size[:])); at > end {
			break
		}
	}
	return n
}

// ReadSpool reads the rows of a spool file into b; key is what it was sealed to. Error: fault invalid CodeBad.
func ReadSpool(in io.Reader, key *ecdh.PrivateKey, b *telemetry.Batch) error {
	bad := fault.Invalid("batch", CodeBad)
	src := bufio.NewReader(in)
	head := make([]byte, spoolHeader)
	if _, err := io.ReadFull(src, head); err != nil || string(head[:len(spoolMagic)]) != spoolMagic {
		return errors.Join(bad, err)
	}
	k, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return err
	}
	kdf, aead := suite()
	opener, err := hpke.NewRecipient(head[len(spoolMagic):], k, kdf, aead, []byte(infoSpool))
	if err != nil {
		return bad.Because(err)
	}
	for {
		var size [4]byte
		switch _, err := io.ReadFull(src, size[:]); {
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return err
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > maxFrame {
			return bad
		}
		sealed := make([]byte, n)
		switch _, err := io.ReadFull(src, sealed); {
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return err
		}
		js, err := opener.Open(nil, sealed)
		if err != nil {
			return bad.Because(err)
		}
		var r row
		if err := json.Unmarshal(js, &r); err != nil {
			return bad.Because(err)
		}
		switch {
		case r.Traffic != nil:
			r.Traffic.Content = r.Content
			b.Traffic = append(b.Traffic, *r.Traffic)
		case r.Signal != nil:
			r.Signal.Content = r.Content
			b.Signals = append(b.Signals, *r.Signal)
		case r.Aggregate != nil:
			b.Aggregates = append(b.Aggregates, *r.Aggregate)
		}
	}
}
