package gatelink

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
)

// credentialPrefix begins every gateway's credential, so that secret scanners can find one that leaked.
const credentialPrefix = "fsg-"

// member is what a gateway is to control, on its disk. It is written before control is asked to let the gateway in, so
// that an answer which was not heard can be asked for again.
type member struct {
	Credential string `json:"credential"`
	PrivateKey []byte `json:"private_key"` // X25519
	GatewayID  string `json:"gateway_id"`  // "" until control let it in
	ControlKey []byte `json:"control_key"`
	Revoked    bool   `json:"revoked"`
	Facts      *Facts `json:"facts"` // the last; sealed values stay sealed
}

// MemberFile is the file in a state folder that holds what control let the gateway in with.
const MemberFile = "member.json"

func loadMember(dir string) (member, error) {
	var m member
	raw, err := os.ReadFile(filepath.Join(dir, MemberFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return m, err
		}
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails; the runtime aborts instead
		m = member{Credential: credentialPrefix + base64.RawURLEncoding.EncodeToString(secret), PrivateKey: key.Bytes()}
		return m, m.save(dir)
	case err != nil:
		return m, err
	}
	return m, json.Unmarshal(raw, &m)
}

// Joined says whether control has let in the gateway of a state folder, so that it needs no join token any more.
func Joined(dir string) bool {
	raw, err := os.ReadFile(filepath.Join(dir, MemberFile))
	var m member
	return err == nil && json.Unmarshal(raw, &m) == nil && m.GatewayID != ""
}

// save replaces the file as a whole.
func (m member) save(dir string) (err error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, MemberFile+".*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(raw)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, MemberFile))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

func (m member) key() (*ecdh.PrivateKey, error) { return ecdh.X25519().NewPrivateKey(m.PrivateKey) }
