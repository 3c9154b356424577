package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// kind is what a column holds, on either engine.
type kind byte

const (
	whole  kind = 'n'
	truth  kind = 'b'
	text   kind = 's'
	octets kind = 'x'
	real   kind = 'f'
)

var kindOf = map[string]kind{"INTEGER": whole, "BIGINT": whole, "SMALLINT": whole, "BOOLEAN": truth, "TEXT": text, "BLOB": octets, "BYTEA": octets,
	"REAL": real, "DOUBLE PRECISION": real}

type column struct {
	name string
	kind kind
}

type table struct {
	name    string
	columns []column // by name, so that the engines' order does not matter
}

// Tally is how many rows a table has, and a digest over them in which their order has no part.
type Tally struct {
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"`
}

// tables lists the tables that a connection finds without naming a schema, without those of the migrations.
func tables(ctx context.Context, db bun.IDB) ([]table, error) {
	q := `SELECT m.name AS tbl, c.name AS col, UPPER(c.type) AS type FROM sqlite_master AS m, pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'goose%' ORDER BY m.name, c.name`
	if db.Dialect().Name() == dialect.PG {
		q = `SELECT table_name AS tbl, column_name AS col, UPPER(data_type) AS type FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name NOT LIKE 'goose%' ORDER BY 1, 2`
	}
	var rows []struct{ Tbl, Col, Type string }
	if err := db.NewRaw(q).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	var out []table
	for _, r := range rows {
		k, ok := kindOf[r.Type]
		if !ok {
			return nil, fmt.Errorf("backup: column %s.%s is of type %s, which is not known", r.Tbl, r.Col, r.Type)
		}
		if len(out) == 0 || out[len(out)-1].name != r.Tbl {
			out = append(out, table{name: r.Tbl})
		}
		t := &out[len(out)-1]
		t.columns = append(t.columns, column{r.Col, k})
	}
	return out, nil
}

// carry copies every table from one database to another of the same schema, inside a transaction of each, replaces what
// was there, and compares what arrived with what left. Errors: fault conflict backup.schema_differs, backup.copy_differs; invalid backup.bad_value.
func carry(ctx context.Context, from bun.IDB, to bun.Tx) (map[string]Tally, error) {
	have, err := tables(ctx, from)
	if err != nil {
		return nil, err
	}
	want, err := tables(ctx, to)
	if err != nil {
		return nil, err
	}
	for i, t := range have {
		if i >= len(want) || want[i].name != t.name || !slices.Equal(want[i].columns, t.columns) {
			return nil, fault.Conflict("from", "backup.schema_differs", "table", t.name)
		}
	}
	if len(have) != len(want) {
		return nil, fault.Conflict("from", "backup.schema_differs", "table", want[len(have)].name)
	}
	free, err := unbind(ctx, to)
	if err != nil {
		return nil, err
	}
	out := map[string]Tally{}
	for _, t := range have {
		if _, err := to.ExecContext(ctx, "DELETE FROM "+quoted(t.name)); err != nil { // what the migrations put there
			return nil, err
		}
	}
	for _, t := range have {
		into := &inserter{to: to, t: t}
		left, err := t.walk(ctx, from, func(row []any) error { return into.add(ctx, row) })
		if err != nil {
			return nil, err
		}
		if err := into.flush(ctx); err != nil {
			return nil, fmt.Errorf("copy %s: %w", t.name, err)
		}
		arrived, err := t.walk(ctx, to, func([]any) error { return nil })
		if err != nil {
			return nil, err
		}
		if arrived != left {
			return nil, fault.Conflict("from", "backup.copy_differs", "table", t.name)
		}
		out[t.name] = left
	}
	return out, free(ctx)
}

// unbind lets rows come before those that they refer to; the function that it returns checks all references and binds again.
func unbind(ctx context.Context, to bun.Tx) (bind func(context.Context) error, err error) {
	if to.Dialect().Name() != dialect.PG {
		_, err := to.ExecContext(ctx, "PRAGMA defer_foreign_keys = ON") // until the commit, which checks them
		return func(context.Context) error { return nil }, err
	}
	var refs []struct{ Tbl, Ref string }
	if err := to.NewRaw(`SELECT c.relname AS tbl, f.conname AS ref FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE f.contype = 'f' AND n.nspname = current_schema()`).Scan(ctx, &refs); err != nil {
		return nil, err
	}
	alter := func(ctx context.Context, how string) error {
		for _, r := range refs {
			if _, err := to.ExecContext(ctx, "ALTER TABLE "+quoted(r.Tbl)+" ALTER CONSTRAINT "+quoted(r.Ref)+" "+how); err != nil {
				return err
			}
		}
		return nil
	}
	return func(ctx context.Context) error {
		if _, err := to.ExecContext(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
			return err
		}
		return alter(ctx, "NOT DEFERRABLE")
	}, alter(ctx, "DEFERRABLE INITIALLY DEFERRED")
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (t table) names() string {
	var out []string
	for _, c := range t.columns {
		out = append(out, quoted(c.name))
	}
	return strings.Join(out, ", ")
}

// walk reads all rows, each value as its kind says, and tallies them.
func (t table) walk(ctx context.Context, db bun.IDB, each func(row []any) error) (Tally, error) {
	rows, err := db.QueryContext(ctx, "SELECT "+t.names()+" FROM "+quoted(t.name))
	if err != nil {
		return Tally{}, err
	}
	defer rows.Close()
	var sum digestSum
	var n int64
	into := make([]any, len(t.columns))
	for rows.Next() {
		row := make([]any, len(t.columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return Tally{}, err
		}
		h := sha256.New()
		for i, c := range t.columns {
			v, enc, ok := c.kind.of(row[i])
			if !ok {
				return Tally{}, fault.Invalid("from", "backup.bad_value", "table", t.name, "column", c.name)
			}
			row[i] = v
			var head [9]byte
			head[0] = byte(c.kind)
			if v == nil {
				head[0] = 0
			}
			binary.BigEndian.PutUint64(head[1:], uint64(len(enc)))
			h.Write(head[:])
			h.Write(enc)
		}
		sum.add(h.Sum(nil))
		n++
		if err := each(row); err != nil {
			return Tally{}, err
		}
	}
	return Tally{n, sum.String()}, rows.Err()
}

// of gives a value as its kind, and the bytes that enter the digest. It is not ok if the value is not of the kind, or the other
// engine could not keep it.
func (k kind) of(v any) (_ any, enc []byte, ok bool) {
	switch v := v.(type) {
	case nil:
		return nil, nil, true
	case int64:
		switch {
		case k == whole:
			return v, strconv.AppendInt(nil, v, 10), true
		case k == real:
			return float64(v), number(float64(v)), true
		case k == truth && (v == 0 || v == 1):
			return v == 1, []byte{byte(v)}, true
		}
	case bool:
		if k == truth {
			b := []byte{0}
			if v {
				b[0] = 1
			}
			return v, b, true
		}
	case float64:
		return v, number(v), k == real
	case string:
		return v, []byte(v), k == text && utf8.ValidString(v) && !strings.Contains(v, "\x00")
	case []byte:
		if k == text {
			return k.of(string(v))
		}
		return v, v, k == octets
	}
	return nil, nil, false
}

func number(f float64) []byte { return binary.BigEndian.AppendUint64(nil, math.Float64bits(f)) }

// digestSum adds digests modulo 2^256: the same rows in any order give the same sum.
type digestSum [4]uint64

func (s *digestSum) add(sum []byte) {
	var carry uint64
	for i := 3; i >= 0; i-- {
		s[i], carry = bits.Add64(s[i], binary.BigEndian.Uint64(sum[i*8:]), carry)
	}
}

func (s *digestSum) String() string {
	var b []byte
	for _, w := range s {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return hex.EncodeToString(b)
}

// inserter gathers rows for one statement.
type inserter struct {
	to   bun.Tx
	t    table
	rows int
	size int
	args []any
}

const (
	insertRows  = 200
	insertBytes = 4 << 20
)

func (i *inserter) add(ctx context.Context, row []any) error {
	i.args = append(i.args, row...)
	i.rows++
	for _, v := range row {
		switch v := v.(type) {
		case string:
			i.size += len(v)
		case []byte:
			i.size += 2 * len(v)
		}
	}
	if i.rows < insertRows && i.size < insertBytes {
		return nil
	}
	if err := i.flush(ctx); err != nil {
		return fmt.Errorf("copy %s: %w", i.t.name, err)
	}
	return nil
}

func (i *inserter) flush(ctx context.Context) error {
	if i.rows == 0 {
		return nil
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(i.t.columns)), ", ") + ")"
	_, err := i.to.ExecContext(ctx, "INSERT INTO "+quoted(i.t.name)+" ("+i.t.names()+") VALUES "+one+strings.Repeat(", "+one, i.rows-1), i.args...)
	i.rows, i.size, i.args = 0, 0, i.args[:0]
	return err
}
