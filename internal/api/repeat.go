package api

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// answersKept is how long a repeated request is known and gets the first answer.
const answersKept = 24 * time.Hour

// ForgetOldAnswers takes away kept answers that are older than a day. They may hold what people wrote, and
// serve retries, not history. It is called each hour.
func ForgetOldAnswers(ctx context.Context, st *store.Store) error {
	return st.Write(ctx, store.System("api"), func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM idempotency WHERE at_ms < ?", tx.NowMs-answersKept.Milliseconds())
		return err
	})
}

// forgetAnswers takes the kept answers away, and the digests of what was asked, which tell a short text
// to whoever guesses it. That something was done under a key stays known, so it is not done twice. An answer may hold
// texts of any incident it names or does not name, so an erasure forgets them all.
func forgetAnswers(ctx context.Context, tx *store.Tx) error {
	_, err := tx.ExecContext(ctx, "UPDATE idempotency SET response = '', request_hash = ''")
	return err
}

func once(ctx context.Context, tx *store.Tx, key string, o operation, in, out any, fn func() error) error {
	if len(key) > 200 {
		return fault.Invalid("Idempotency-Key", "api.idempotency_long")
	}
	hash := "" // what is secret leaves no trace here, not even a digest
	if !o.secret {
		req, err := json.Marshal(in)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(req)
		hash = hex.EncodeToString(sum[:])
	}
	var old []struct{ Operation, RequestHash, Response string }
	if err := tx.NewRaw("SELECT operation, request_hash, response FROM idempotency WHERE actor = ? AND idem_key = ?", tx.Actor.ID, key).Scan(ctx, &old); err != nil {
		return err
	}
	if len(old) == 1 {
		gone := old[0].Response == "" // by forgetAnswers
		if old[0].Operation != o.id || old[0].RequestHash != hash && !gone {
			return fault.Conflict("Idempotency-Key", "api.idempotency_reuse")
		}
		if o.secret || gone {
			return fault.Conflict("Idempotency-Key", "api.idempotency_shown")
		}
		return json.Unmarshal([]byte(old[0].Response), out)
	}
	if err := fn(); err != nil {
		return err
	}
	resp := []byte("{}")
	if !o.secret {
		var err error
		if resp, err = json.Marshal(out); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO idempotency (actor, idem_key, operation, request_hash, response, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
		tx.Actor.ID, key, o.id, hash, string(resp), tx.NowMs)
	return err
}

// onceFrom is once for callers without a token, told apart by their address. The answer may hold what is
// shown only once, such as the code of a complaint, and what was asked is a private letter. Both are kept
// under a key made of the caller's own key, which is not kept: whoever reads the table reads nothing.
func onceFrom(address string) func(ctx context.Context, tx *store.Tx, key string, o operation, in, out any, fn func() error) error {
	return func(ctx context.Context, tx *store.Tx, key string, o operation, in, out any, fn func() error) error {
		if len(key) > 200 {
			return fault.Invalid("Idempotency-Key", "api.idempotency_long")
		}
		under := func(use string) [sha256.Size]byte {
			return sha256.Sum256([]byte(use + "\x00" + address + "\x00" + key))
		}
		name, sealing := under("name"), under("seal")
		block, err := aes.NewCipher(sealing[:])
		if err != nil {
			return err
		}
		box, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return err
		}
		asked, err := json.Marshal(in)
		if err != nil {
			return err
		}
		type kept struct{ Asked, Answer json.RawMessage }
		var old []struct{ Operation, Response string }
		if err := tx.NewRaw("SELECT operation, response FROM idempotency WHERE actor = ? AND idem_key = ?", callers, hex.EncodeToString(name[:])).Scan(ctx, &old); err != nil {
			return err
		}
		if len(old) == 1 {
			if old[0].Response == "" { // by forgetAnswers
				return fault.Conflict("Idempotency-Key", "api.idempotency_shown")
			}
			sealed, err := base64.StdEncoding.DecodeString(old[0].Response)
			if err != nil {
				return err
			}
			plain, err := box.Open(nil, nil, sealed, nil)
			if err != nil {
				return err
			}
			var k kept
			if err := json.Unmarshal(plain, &k); err != nil {
				return err
			}
			if old[0].Operation != o.id || !bytes.Equal(k.Asked, asked) {
				return fault.Conflict("Idempotency-Key", "api.idempotency_reuse")
			}
			return json.Unmarshal(k.Answer, out)
		}
		if err := fn(); err != nil {
			return err
		}
		answer, err := json.Marshal(out)
		if err != nil {
			return err
		}
		plain, err := json.Marshal(kept{asked, answer})
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO idempotency (actor, idem_key, operation, request_hash, response, at_ms) VALUES (?, ?, ?, '', ?, ?)",
			callers, hex.EncodeToString(name[:]), o.id, base64.StdEncoding.EncodeToString(box.Seal(nil, nil, plain, nil)), tx.NowMs)
		return err
	}
}

// callers stands for all who call without a token.
const callers = "public"
