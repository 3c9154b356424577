package identity

import (
	"slices"
	"strings"
)

// Administrator says whether one of the roles is that of an administrator.
func Administrator(roles []string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return strings.HasSuffix(r, "_admin") })
}
