package login

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/secret"
)

// The cost of one hash: 19 MiB, two passes, one lane (OWASP's second choice; about 40 ms). A hash carries
// its own, so that the cost can be raised without locking anybody out.
const (
	memoryKiB = 19 * 1024
	passes    = 2
	lanes     = 1
	hashBytes = 32
)

// atOnce bounds how many hashes are computed at a time, and with it the memory that a flood of log-ins
// takes: 4 × 19 MiB.
const atOnce = 4

// longestWait is how long a log-in waits for its turn at hashing before it is told to come back.
const longestWait = 10 * time.Second

// nobody is what the password of an account that does not exist is checked against: the same work, never a match.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

var (
	accountForm = regexp.MustCompile(`^[\p{Han}A-Za-z0-9][\p{Han}A-Za-z0-9._@-]{1,63}$`)
	b64         = base64.RawStdEncoding
)

const (
	shortest = 12   // characters of a password
	longest  = 1024 // bytes
)

// fold makes one name of all its spellings. The form admits ASCII and Han only, so lower case is enough.
func fold(account string) string { return strings.ToLower(strings.TrimSpace(account)) }

// CheckAccount says whether a name can be that of an account.
func CheckAccount(account string) error {
	if !accountForm.MatchString(strings.TrimSpace(account)) {
		return fault.Invalid("account", "login.bad_account")
	}
	return nil
}

// CheckPassword says whether a password may be chosen: at least 12 characters, and not the account's name.
// field names the input.
func CheckPassword(field, account, password string) error {
	switch {
	case utf8.RuneCountInString(password) < shortest:
		return fault.Invalid(field, "login.short_password", "n", shortest)
	case len(password) > longest || !utf8.ValidString(password):
		return fault.Invalid(field, "login.long_password", "n", longest)
	case fold(password) == fold(account):
		return fault.Invalid(field, "login.password_is_account")
	}
	return nil
}

// turn waits for a place among those who hash.
func (d *Desk) turn(ctx context.Context) (done func(), err error) {
	leave := func() { <-d.hashing }
	select {
	case d.hashing <- struct{}{}:
		return leave, nil
	default:
	}
	select {
	case d.hashing <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.st.Clock().After(longestWait):
		return nil, fault.Unavailable("login.busy")
	}
}

// hash makes what is stored of a password.
func (d *Desk) hash(ctx context.Context, password string) (string, error) {
	done, err := d.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := secret.Random(16)
	sum := argon2.IDKey([]byte(password), salt, passes, memoryKiB, lanes, hashBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memoryKiB, passes, lanes, b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// matches checks a password against a stored hash with the parameters that the hash carries.
func (d *Desk) matches(ctx context.Context, stored, password string) (bool, error) {
	var version int
	var m, t uint32
	var p uint8
	parts := strings.Split(stored, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, fmt.Errorf("login: a stored password is no argon2id hash")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &m, &t, &p); err != nil || version != argon2.Version {
		return false, fmt.Errorf("login: a stored password has unreadable parameters: %w", err)
	}
	salt, err := b64.DecodeString(parts[4])
	if err != nil {
		return false, err
	}
	want, err := b64.DecodeString(parts[5])
	if err != nil {
		return false, err
	}
	done, err := d.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	got := argon2.IDKey([]byte(password), salt, t, m, p, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
