package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Target is where a backup goes, and what is known from outside.
type Target struct {
	DataDir   string       // must not exist, or be empty
	Database  string       // PostgreSQL, an empty one; "" is SQLite in DataDir
	Keys      *secret.Keys // the key folder that belonged to the data
	Signer    string       // pinned signer fingerprint; empty if none
	Outside   *record.Outside
	Exporters []record.Exporter // get the first checkpoint of the new epoch
	Clock     clock.Clock
}

// Result says what Restore did.
type Result struct {
	Manifest   *Manifest          `json:"manifest"`
	Resumption *record.Resumption `json:"resumption"`
	Report     *record.Report     `json:"report"` // of the restored record, after its new epoch began
}

// Restore puts a backup into a new data folder. It checks every hash, the manifest's signature and the whole
// record; opens a new epoch that names the last checkpoint known from outside; repeats the erasures that
// came after the backup; verifies again, now against all checkpoints from outside; and only then moves the
// folder into place. On any error the target is as it was. Errors: fault conflict backup.not_empty; invalid
// backup.damaged, backup.signature, backup.record_broken (the problems are in Result.Report).
func Restore(ctx context.Context, from string, to Target) (*Result, error) {
	if list, err := os.ReadDir(to.DataDir); err == nil && len(list) > 0 {
		return nil, fault.Conflict("data", "backup.not_empty", "folder", filepath.Base(to.DataDir))
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	parent := filepath.Dir(filepath.Clean(to.DataDir))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(parent, ".fengsui-restore-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	m, raw, note, err := unpack(ctx, from, work)
	if err != nil {
		return nil, err
	}
	res := &Result{Manifest: m}
	if res.Report, err = check(ctx, work, to.Keys, m, raw, note); err != nil {
		return res, err
	}
	if err := resume(ctx, work, to, m, res); err != nil {
		return res, err
	}
	place := settle
	if to.Database != "" {
		place = settleDatabase
	}
	if err := place(ctx, work, to); err != nil {
		return res, err
	}
	return res, announce(ctx, to)
}

// settle moves the checked folder into place.
func settle(_ context.Context, work string, to Target) error {
	if err := os.Remove(to.DataDir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // rename replaces an empty folder on some systems only
	}
	return errors.Join(os.Rename(work, to.DataDir), syncDir(filepath.Dir(filepath.Clean(to.DataDir))))
}

// settleDatabase moves what is in the checked folder into the database, all at once; the data folder remembers it.
func settleDatabase(ctx context.Context, work string, to Target) error {
	if _, err := ToPostgres(ctx, work, to.Database, to.Keys); err != nil {
		return err
	}
	if err := os.MkdirAll(to.DataDir, 0o700); err != nil {
		return err
	}
	return errors.Join(os.Rename(filepath.Join(work, store.PlaceFile), filepath.Join(to.DataDir, store.PlaceFile)), syncDir(to.DataDir))
}

// check verifies the backup as it is, before anything of it is opened for writing.
func check(ctx context.Context, work string, keys *secret.Keys, m *Manifest, raw []byte, note string) (*record.Report, error) {
	db, err := store.OpenSQLite(ctx, filepath.Join(work, store.MainFile), store.Relaxed, 1)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	body, err := record.OpenText(ctx, db, purpose, note)
	if err != nil || body != manifestLine(raw) {
		return nil, fault.Invalid("from", "backup.signature").Because(err)
	}
	rep, err := record.Verify(ctx, db, record.VerifyOptions{Keys: keys, Outside: &record.Outside{Checkpoints: []string{m.Checkpoint}}})
	if err != nil {
		return nil, err
	}
	return rep, broken(rep)
}

func broken(rep *record.Report) error {
	if rep.OK {
		return nil
	}
	return fault.Invalid("from", "backup.record_broken", "count", strconv.FormatInt(rep.ProblemCount, 10))
}

// resume lets the record go on inside work, and verifies the outcome as strictly as can be.
func resume(ctx context.Context, work string, to Target, m *Manifest, res *Result) (err error) {
	log := record.New(record.Options{Keys: to.Keys}) // without exporters: nothing leaves before all is well
	st, err := store.Open(ctx, store.Options{Dir: work, Clock: to.Clock, Recorder: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := log.Bind(ctx, st); err != nil {
		return err
	}
	if res.Resumption, err = log.Resume(ctx, record.ReasonRestore, to.Outside, m.Checkpoint); err != nil {
		return err
	}
	if res.Report, err = record.Verify(ctx, st.Read(), record.VerifyOptions{Keys: to.Keys, Signer: to.Signer, Outside: to.Outside}); err != nil {
		return err
	}
	return broken(res.Report)
}

// announce sends the first checkpoint of the new epoch out of the data folder.
func announce(ctx context.Context, to Target) (err error) {
	log := record.New(record.Options{Keys: to.Keys, Exporters: to.Exporters})
	st, err := store.Open(ctx, store.Options{Dir: to.DataDir, Database: to.Database, Clock: to.Clock, Recorder: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := log.Bind(ctx, st); err != nil {
		return err
	}
	_, err = log.Checkpoint(ctx)
	return err
}
