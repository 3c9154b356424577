package classify

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"
)

// pack makes a file of parts, with a right checksum.
func pack(about string, weights []byte) []byte {
	var b bytes.Buffer
	b.WriteString(magic)
	b.Write([]byte{0, version})
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(about))))
	b.WriteString(about)
	z, _ := flate.NewWriter(&b, 1)
	_, _ = z.Write(weights)
	_ = z.Close()
	digest := sha256.Sum256(b.Bytes())
	return append(b.Bytes(), digest[:]...)
}

const rightAbout = `{"heads":[{"id":"x","risk":"A.2","threshold":0.5,"lanes":[0],"slope":1,"offset":0}],"lanes":[{"scale":0.01,"bias":0}],"bits":8,"note":""}`

func TestAFileThatIsNoModelIsRefusedByName(t *testing.T) {
	right := pack(rightAbout, make([]byte, 256))
	if _, err := Read(bytes.NewReader(right)); err != nil {
		t.Fatalf("the file that the others are made of: %v", err)
	}
	about := func(from, to string) []byte {
		if !strings.Contains(rightAbout, from) {
			t.Fatalf("no %q to change", from)
		}
		return pack(strings.Replace(rightAbout, from, to, 1), make([]byte, 256))
	}
	changed := bytes.Clone(right)
	changed[len(changed)-40] ^= 1
	newer := bytes.Clone(right)
	newer[len(magic)+1]++
	older := bytes.Clone(right)
	older[len(magic)+1] = 1
	long := bytes.Clone(right[:len(right)-sha256.Size])
	binary.BigEndian.PutUint32(long[len(magic)+2:], 1<<31)
	digest := sha256.Sum256(long)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"nothing":                 {nil, "no model"},
		"something else":          {[]byte("PK\x03\x04 and so on"), "no model"},
		"only the magic":          {[]byte(magic), "cut short"},
		"cut short":               {right[:len(right)-1], "checksum"},
		"altered":                 {changed, "checksum"},
		"another version":         {newer, "version 3"},
		"a too long description":  {append(long, digest[:]...), "longer than it may be"},
		"no JSON":                 {pack("{", make([]byte, 256)), "description"},
		"an unknown field":        {about(`"note"`, `"nota"`), "nota"},
		"an older version":        {older, "version 1"},
		"no head":                 {pack(`{"heads":[],"lanes":[{"scale":1,"bias":0}],"bits":8,"note":""}`, nil), "heads: 0"},
		"no lane":                 {pack(`{"heads":[],"lanes":[],"bits":8,"note":""}`, nil), "lanes: 0"},
		"a head without a lane":   {about(`"lanes":[0]`, `"lanes":[]`), "heads[0].lanes"},
		"a head of two lanes":     {about(`"lanes":[0]`, `"lanes":[0,0]`), "heads[0].lanes"},
		"a lane that is not":      {about(`"lanes":[0]`, `"lanes":[1]`), "heads[0].lanes"},
		"a lane below the first":  {about(`"lanes":[0]`, `"lanes":[0,0,0,-1]`), "heads[0].lanes"},
		"too many bits":           {about(`"bits":8`, `"bits":40`), "bits: 40"},
		"a threshold of 1":        {about(`"threshold":0.5`, `"threshold":1`), "heads[0].threshold"},
		"a scale of 0":            {about(`"scale":0.01`, `"scale":0`), "lanes[0].scale"},
		"a slope that goes down":  {about(`"slope":1`, `"slope":-1`), "heads[0].slope"},
		"an offset out of bounds": {about(`"offset":0`, `"offset":1e99`), "heads[0].offset"},
		"a bias out of bounds":    {about(`"bias":0`, `"bias":-1e99`), "lanes[0].bias"},
		"no id":                   {about(`"id":"x"`, `"id":""`), "heads[0].id"},
		"too few weights":         {pack(rightAbout, make([]byte, 255)), "weights of lane 0"},
		"too many weights":        {pack(rightAbout, make([]byte, 257)), "more weights"},
		"a second head like the first": {pack(strings.Replace(rightAbout, `"heads":[`, `"heads":[{"id":"x","risk":"","threshold":0.5,"lanes":[0],"slope":1,"offset":0},`, 1), make([]byte, 512)),
			"heads[1].id: is used twice"},
	} {
		if _, err := Read(bytes.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a word about %q", name, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(pack(rightAbout, make([]byte, 256)), true)
	f.Add([]byte(magic), false)
	f.Add(pack(`{"heads":null,"bits":99,"note":""}`, nil), true)
	f.Fuzz(func(t *testing.T, file []byte, seal bool) {
		if seal && len(file) >= sha256.Size { // else no change would pass the checksum
			digest := sha256.Sum256(file[:len(file)-sha256.Size])
			file = append(bytes.Clone(file[:len(file)-sha256.Size]), digest[:]...)
		}
		m, err := Read(bytes.NewReader(file))
		if err != nil {
			return
		}
		for _, p := range m.Scores(nil, sample) {
			if !(p >= 0 && p <= 1) {
				t.Errorf("probability %v", p)
			}
		}
	})
}
