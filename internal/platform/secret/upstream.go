package secret

import (
	"context"
	"net"
	"net/url"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// ownPrefix begins the names of the instance's own secrets, which nobody sets and no upstream sees.
const ownPrefix = "fengsui."

// Origin is scheme://host:port of an http or https address, in small letters and with the port that the
// scheme implies (RFC 6454 section 4); "" if it is no such address.
func Origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return ""
	}
	port := u.Port()
	switch scheme := strings.ToLower(u.Scheme); {
	case scheme != "http" && scheme != "https":
		return ""
	case port == "" && scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	return strings.ToLower(u.Scheme) + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// PutUpstream sets the key of an upstream, bound to where it may be sent. The binding of a name never
// changes, because deployments that name it were checked against it. Errors: invalid name or origin;
// forbidden secret.own for the instance's own names; conflict secret.bound_elsewhere.
func (v *Vault) PutUpstream(ctx context.Context, tx *store.Tx, name, origin string, value []byte) error {
	if strings.HasPrefix(name, ownPrefix) {
		return fault.Forbidden("secret.own", "prefix", ownPrefix)
	}
	to := Origin(origin)
	if u, err := url.Parse(origin); to == "" || err != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return fault.Invalid("origin", "secret.bad_origin")
	}
	var bound []string
	if err := tx.NewRaw("SELECT origin FROM secrets WHERE name = ?", name).Scan(ctx, &bound); err != nil {
		return err
	}
	if len(bound) == 1 && bound[0] != to {
		return fault.Conflict("origin", "secret.bound_elsewhere", "name", name)
	}
	if err := v.Put(ctx, tx, name, value); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE secrets SET origin = ? WHERE name = ?", to, name)
	return err
}

// CheckUpstream says whether a secret may be sent to an address. Errors: invalid secret_ref
// secret.not_for_upstream, which tells a secret of another origin from one that is missing to nobody.
func CheckUpstream(ctx context.Context, db bun.IDB, name, address string) error {
	to := Origin(address)
	n, err := db.NewSelect().TableExpr("secrets").Where("name = ? AND origin = ? AND origin <> ''", name, to).Count(ctx)
	if err != nil {
		return err
	}
	if n == 0 || strings.HasPrefix(name, ownPrefix) {
		return fault.Invalid("secret_ref", "secret.not_for_upstream")
	}
	return nil
}
