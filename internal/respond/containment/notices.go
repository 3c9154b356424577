package containment

import (
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/posture"
)

// CatalogNotices takes the notices from the catalog of translations.
type CatalogNotices struct{ Catalog *locale.Catalog }

// Notice gives the text of containment.notice_<name>.
func (n CatalogNotices) Notice(name string) posture.Text {
	key := "containment.notice_" + name
	return posture.Text{ZH: n.Catalog.Say(locale.ZH, key), EN: n.Catalog.Say(locale.EN, key)}
}
