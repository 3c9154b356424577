package classify

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A file is: magic; version (2 bytes); length of the description (4 bytes, as
// all numbers big-endian); the description as JSON; the weights, compressed, one
// byte each, lane by lane; SHA-256 of all before.
const (
	magic          = "fengsui linear\n"
	version        = 2 // 1 counted what came again in full and had a lane for each head
	maxDescription = 64 << 10
	maxFile        = 32 << 20
	prefix         = len(magic) + 6
)

type description struct {
	Heads []Head `json:"heads"`
	Lanes []Lane `json:"lanes"`
	Bits  int    `json:"bits"`
	Note  string `json:"note"`
}

// Write writes the model as a file for Read. The same model gives the same bytes.
func (m *Model) Write(w io.Writer) error {
	about, err := json.Marshal(description{Heads: m.heads, Lanes: m.lanes, Bits: m.bits, Note: m.note})
	if err != nil {
		return err
	}
	if len(about) > maxDescription {
		return errors.New("classify: the description is too long")
	}
	var b bytes.Buffer
	b.WriteString(magic)
	b.Write(binary.BigEndian.AppendUint16(nil, version))
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(about))))
	b.Write(about)
	z, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return err
	}
	row := make([]byte, 1<<m.bits)
	for l := range m.lanes {
		for place := range row {
			row[place] = byte(m.weight(place, l))
		}
		if _, err := z.Write(row); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	digest := sha256.Sum256(b.Bytes())
	b.Write(digest[:])
	_, err = w.Write(b.Bytes())
	return err
}

// Read reads a model. What is not one, of another version, altered or cut short
// is an error that says so.
func Read(r io.Reader) (*Model, error) {
	file, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(file) > maxFile:
		return nil, fmt.Errorf("classify: model file: more than %d bytes", maxFile)
	case !bytes.HasPrefix(file, []byte(magic)):
		return nil, errors.New("classify: model file: this is no model of fengsui train")
	case len(file) < prefix+sha256.Size:
		return nil, errors.New("classify: model file: cut short")
	}
	if v := binary.BigEndian.Uint16(file[len(magic):]); v != version {
		return nil, fmt.Errorf("classify: model file: version %d, this program reads %d; train it again", v, version)
	}
	body, want := file[:len(file)-sha256.Size], file[len(file)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], want) {
		return nil, errors.New("classify: model file: altered or cut short (its checksum does not fit)")
	}
	n := int(binary.BigEndian.Uint32(file[len(magic)+2:]))
	if n > maxDescription || n > len(body)-prefix {
		return nil, errors.New("classify: model file: the description is longer than it may be")
	}
	var about description
	dec := json.NewDecoder(bytes.NewReader(body[prefix : prefix+n]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&about); err != nil {
		return nil, fmt.Errorf("classify: model file: description: %w", err)
	}
	m := &Model{heads: about.Heads, lanes: about.Lanes, bits: about.Bits, note: about.Note}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, m.readWeights(body[prefix+n:])
}

func (m *Model) readWeights(packed []byte) error {
	z := flate.NewReader(bytes.NewReader(packed))
	m.clear()
	row := make([]byte, 1<<m.bits)
	for l := range m.lanes {
		if _, err := io.ReadFull(z, row); err != nil {
			return fmt.Errorf("classify: model file: weights of lane %d: %w", l, err)
		}
		for place, w := range row {
			m.learn(place, l, int8(w))
		}
	}
	if n, err := z.Read(row[:1]); n > 0 || err != io.EOF {
		return errors.New("classify: model file: more weights than lanes")
	}
	return z.Close()
}
