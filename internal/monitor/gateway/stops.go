package gateway

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/posture"
)

// Sealed tokens lie in the folder stops of the state folder: as .new when somebody has put one there, as .json while it
// binds, as .spent when control took it over, as .refused if it is none of control's or was used before. What binds does
// so again after a restart.
const (
	stopsName     = "stops"
	stopNew       = ".new"
	stopBinds     = ".json"
	stopSpent     = ".spent"
	stopRefused   = ".refused"
	longestRecord = 64 << 10
)

// stop is a sealed token that binds here.
type stop struct {
	posture.Stop
	signed posture.Signed
}

// PutStop lays a sealed token into a gateway's state folder, where the process finds it, or its next start. It gives the
// paths of the files of which one is there once the token was obeyed, and of that which is there if it was refused.
func PutStop(stateDir string, sealed []byte) (obeyed []string, refused string, err error) {
	var s posture.Signed
	var in posture.Stop
	if err := json.Unmarshal(sealed, &s, json.RejectUnknownMembers(true)); err != nil {
		return nil, "", fault.Invalid("token", "posture.malformed", "field", "token").Because(err)
	}
	if err := json.Unmarshal(s.Payload, &in); err != nil || !stopID.MatchString(in.ID) {
		return nil, "", fault.Invalid("token", "posture.malformed", "field", "token").Because(err)
	}
	if _, err := os.Stat(stateDir); err != nil {
		return nil, "", fault.Unavailable("gateway.no_state_dir", "dir", stateDir).Because(err)
	}
	dir := filepath.Join(stateDir, stopsName)
	at := filepath.Join(dir, in.ID)
	return []string{at + stopBinds, at + stopSpent}, at + stopRefused, layStop(stateDir, in.ID, sealed)
}

// layStop writes as whom the folder belongs to: root lays a token, and the process that obeys it is not root. What it
// finds there was written by others, so it follows no name out of the folder and writes over none.
func layStop(stateDir, id string, sealed []byte) (err error) {
	root, err := os.OpenRoot(stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := root.Mkdir(stopsName, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := bestow(root, stopsName); err != nil {
		return err
	}
	at := filepath.Join(stopsName, id)
	for _, old := range []string{stopRefused, stopSpent, ".tmp"} {
		if err := root.Remove(at + old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := root.OpenFile(at+".tmp", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(sealed)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = bestow(root, at+".tmp")
	}
	if err == nil {
		err = root.Rename(at+".tmp", at+stopNew)
	}
	if err != nil {
		_ = root.Remove(at + ".tmp")
	}
	return err
}

// bestow gives a file of a folder to the folder's owner.
func bestow(root *os.Root, name string) error {
	folder, err := root.Stat(".")
	if err != nil {
		return err
	}
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	owner, ok := folder.Sys().(*syscall.Stat_t)
	has, ok2 := info.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || has.Uid == owner.Uid {
		return nil
	}
	return root.Lchown(name, int(owner.Uid), int(owner.Gid))
}

var stopID = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// HeedStops looks for sealed tokens that were put into the state folder, and obeys them: new requests at once, open
// streams before it returns. Call it often; without a new one it costs reading a small folder.
func (g *Gateway) HeedStops(ctx context.Context) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	fresh, unread := g.readStops()
	if !fresh {
		return unread
	}
	if r := g.regime.Load(); r != nil {
		cut := &cutting{}
		g.regime.Store(r.under(g.stopOrders(r.bundle.Stops)))
		g.tell(cut)
		g.see(ctx, cut)
	}
	// Only now: who waits for the name to change reads that it is obeyed.
	for _, s := range g.stops {
		at := filepath.Join(g.o.StateDir, stopsName, s.ID)
		if err := os.Rename(at+stopNew, at+stopBinds); err != nil && !errors.Is(err, fs.ErrNotExist) {
			unread = errors.Join(unread, err)
		}
	}
	return unread
}

// readStops reads tokens that are not known yet; applying is held. One that cannot be read stays for the next look: only
// what was read can be refused. The error does not take from what fresh says.
func (g *Gateway) readStops() (fresh bool, unread error) {
	dir := filepath.Join(g.o.StateDir, stopsName)
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, e := range list {
		ext := filepath.Ext(e.Name())
		if ext != stopNew && ext != stopBinds {
			continue
		}
		id := strings.TrimSuffix(e.Name(), ext)
		if ext == stopBinds && slices.ContainsFunc(g.stops, func(s stop) bool { return s.ID == id }) {
			continue
		}
		raw, failed := readStop(filepath.Join(dir, e.Name()))
		if failed != nil {
			unread = errors.Join(unread, failed)
			continue
		}
		signed, in, err := g.openStop(raw)
		spent := false
		if r := g.regime.Load(); r != nil {
			spent = slices.Contains(r.bundle.Stops, in.ID)
		}
		if err != nil || in.ID != id || spent {
			g.o.Logger.Error("a sealed token is refused", "token", id, "spent", spent, "error", err)
			if err := os.Rename(filepath.Join(dir, e.Name()), filepath.Join(dir, id+stopRefused)); err != nil {
				unread = errors.Join(unread, err)
			}
			continue
		}
		g.o.Logger.Warn("a sealed token takes a service offline on this gateway", "token", id, "service", in.ServiceID)
		if !slices.ContainsFunc(g.stops, func(s stop) bool { return s.ID == id }) {
			g.stops = append(g.stops, stop{in, signed})
		}
		fresh = true
	}
	return fresh, unread
}

func readStop(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, longestRecord+1))
}

func (g *Gateway) openStop(raw []byte) (signed posture.Signed, in posture.Stop, err error) {
	if len(raw) > longestRecord {
		return signed, in, fault.Invalid("token", "posture.malformed", "field", "token")
	}
	if err := json.Unmarshal(raw, &signed, json.RejectUnknownMembers(true)); err != nil {
		return signed, in, err
	}
	in, err = posture.OpenStop(signed, g.o.TrustedKeys...)
	return signed, in, err
}

// stopOrders are the orders of the tokens that bind here, without those that control took over or voided.
func (g *Gateway) stopOrders(spent []string) (out []posture.Order) {
	for _, s := range g.stops {
		if !slices.Contains(spent, s.ID) {
			out = append(out, s.Order())
		}
	}
	return out
}

// settleStops forgets tokens that a bundle which is obeyed took over; applying is held.
func (g *Gateway) settleStops(spent []string) {
	g.stops = slices.DeleteFunc(g.stops, func(s stop) bool {
		if !slices.Contains(spent, s.ID) {
			return false
		}
		at := filepath.Join(g.o.StateDir, stopsName, s.ID)
		for _, ext := range []string{stopNew, stopBinds} {
			if err := os.Rename(at+ext, at+stopSpent); err != nil && !errors.Is(err, fs.ErrNotExist) {
				g.o.Logger.Error("a spent token could not be put aside", "token", s.ID, "error", err)
			}
		}
		return true
	})
}

// Stops are the sealed tokens that bind here and that control does not know of yet.
func (g *Gateway) Stops() []posture.Signed {
	g.applying.Lock()
	defer g.applying.Unlock()
	out := []posture.Signed{}
	for _, s := range g.stops {
		out = append(out, s.signed)
	}
	return out
}
