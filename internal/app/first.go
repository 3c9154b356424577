package app

import (
	"context"
	"slices"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

// FirstService is what a first start registers: an operator, one service and one deployment.
type FirstService struct {
	Upstream    string // base URL of an OpenAI-compatible model
	Model       string // its name there, and what clients ask for
	UpstreamKey string // kept in the secret store; "" for none
	Simulated   bool   // the key that is issued may mark its traffic as simulated
	Importance  string // default 一般
}

// First is what is registered. Key is the clear gateway key; "" when the service was there already.
// Upstream is that of its newest primary deployment, which then need not be the one asked for.
type First struct {
	ServiceID string
	Key       string
	Upstream  string
}

// FirstService registers a service unless one with this model name is there. Its importance is stated
// as 一般 on the ground that nobody has assessed it yet; the desk asks for a better one.
func (a *App) FirstService(ctx context.Context, f FirstService) (out First, err error) {
	if f.Importance == "" {
		f.Importance = "一般"
	}
	err = a.House.Store.Write(ctx, store.System("first-start"), func(tx *store.Tx) error {
		out = First{}
		var there []struct{ ID string }
		if err := tx.NewRaw("SELECT id FROM service WHERE model_name = ? ORDER BY created_ms, id LIMIT 1", f.Model).Scan(ctx, &there); err != nil {
			return err
		}
		if len(there) > 0 {
			out.ServiceID = there[0].ID
			all, err := service.List[service.Deployment](ctx, tx, out.ServiceID)
			for _, d := range all {
				if d.Role == "primary" {
					out.Upstream = d.UpstreamURL
				}
			}
			return err
		}
		op, err := service.AddOperator(ctx, tx, service.Operator{Name: "本单位", Province: "待填写", Kind: "other"})
		if err != nil {
			return err
		}
		s, obj, err := service.AddService(ctx, tx, service.Service{OperatorID: op.ID, Name: f.Model, ModelName: f.Model, Kind: "real"})
		if err != nil {
			return err
		}
		if _, err := service.SetImportance(ctx, tx, service.Importance{ObjectID: obj.ID, Level: f.Importance, Ground: "首次启动时的默认值，尚未评估"}); err != nil {
			return err
		}
		ref := ""
		if key := strings.TrimSpace(f.UpstreamKey); key != "" {
			ref = "upstream." + s.ID
			if err := a.House.Secrets.PutUpstream(ctx, tx, ref, secret.Origin(f.Upstream), []byte(key)); err != nil {
				return err
			}
		}
		if _, err := service.AddDeployment(ctx, tx, service.Deployment{ServiceID: s.ID, Name: "primary", ModelVersion: f.Model, UpstreamURL: f.Upstream, UpstreamModel: f.Model, SecretRef: ref, Role: "primary"}); err != nil {
			return err
		}
		clear, err := firstKey(ctx, tx, s.ID, f.Simulated)
		if err != nil {
			return err
		}
		if _, err := a.House.Control.CompilePosture(ctx, tx, s.ID, "first start"); err != nil {
			return err
		}
		out = First{ServiceID: s.ID, Key: clear, Upstream: f.Upstream}
		return nil
	})
	return out, err
}

func firstKey(ctx context.Context, tx *store.Tx, serviceID string, simulated bool) (string, error) {
	_, clear, err := service.IssueKey(ctx, tx, service.GatewayKey{ServiceID: serviceID, Tenant: "default", UserGroup: "default", TrafficKind: "real", Simulated: simulated, Label: "first"})
	return clear, err
}

// AddKey issues one more gateway key like the first one, for whoever lost that.
func (a *App) AddKey(ctx context.Context, serviceID string, simulated bool) (clear string, err error) {
	err = a.House.Store.Write(ctx, store.System("first-start"), func(tx *store.Tx) error {
		clear, err = firstKey(ctx, tx, serviceID, simulated)
		return err
	})
	return clear, err
}

// AddPerson creates a person with a token; for first starts, the command line and tests, which stand
// above the API because they can read the data folder anyway.
func (a *App) AddPerson(ctx context.Context, name string, roles ...string) (id, token string, err error) {
	err = a.House.Store.Write(ctx, store.System("command-line"), func(tx *store.Tx) error {
		p, err := identity.AddPerson(ctx, tx, name, roles, "")
		if err != nil {
			return err
		}
		id = p.ID
		token, _, err = identity.IssueToken(ctx, tx, p.ID, "first", 0)
		return err
	})
	return id, token, err
}

// TokenFor issues a token for the oldest active person of this name, whom it adds with the role if there is none.
func (a *App) TokenFor(ctx context.Context, name, role string) (token string, err error) {
	err = a.House.Store.Write(ctx, store.System("first-start"), func(tx *store.Tx) error {
		all, err := identity.ListPersons(ctx, tx, tx.Actor, "")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(p identity.Person) bool { return p.Active && p.Name == name && slices.Contains(p.Roles(), role) })
		if i < 0 {
			p, err := identity.AddPerson(ctx, tx, name, []string{role}, "")
			if err != nil {
				return err
			}
			all, i = []identity.Person{p}, 0
		}
		token, _, err = identity.IssueToken(ctx, tx, all[i].ID, "first", 0)
		return err
	})
	return token, err
}

// AdminLink is the one-time link of one of the first administrators.
type AdminLink struct{ Role, Name, URL string }

var firstAdmins = []struct{ role, name string }{{"system_admin", "系统管理员"}, {"security_admin", "安全管理员"}, {"audit_admin", "审计管理员"}}

// FirstAdmins adds the three administrators and gives their one-time links, if there is no administrator at
// all yet; else it gives none. Who lost the links makes new ones with InviteByName.
func (a *App) FirstAdmins(ctx context.Context) (out []AdminLink, err error) {
	err = a.House.Store.Write(ctx, store.System("first-start"), func(tx *store.Tx) error {
		out = nil
		all, err := identity.ListPersons(ctx, tx, tx.Actor, "")
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(p identity.Person) bool { return p.Active && identity.Administrator(p.Roles()) }) {
			return nil
		}
		for _, f := range firstAdmins {
			p, err := identity.AddPerson(ctx, tx, f.name, []string{f.role}, "")
			if err != nil {
				return err
			}
			i, err := a.House.Invite(ctx, tx, p.ID)
			if err != nil {
				return err
			}
			out = append(out, AdminLink{Role: f.role, Name: f.name, URL: i.URL})
		}
		return nil
	})
	return out, err
}

// InviteByName issues a one-time link for the active person of this name or id; those issued before are void. For
// the command line, which stands above the API. Errors: fault not_found person; fault conflict
// app.two_of_that_name.
func (a *App) InviteByName(ctx context.Context, name string) (url string, err error) {
	err = a.House.Store.Write(ctx, store.System("command-line"), func(tx *store.Tx) error {
		all, err := identity.ListPersons(ctx, tx, tx.Actor, "")
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(p identity.Person) bool { return !p.Active || p.Name != name && p.ID != name })
		if len(all) == 0 {
			return fault.NotFound("name", "error.not_found", "field", name)
		}
		if len(all) > 1 {
			return fault.Conflict("name", "app.two_of_that_name", "name", name)
		}
		i, err := a.House.Invite(ctx, tx, all[0].ID)
		url = i.URL
		return err
	})
	return url, err
}

// DemoAccount gives the demo's person of a role an account with a password that is known to whoever
// runs the demo, if they have none.
func (a *App) DemoAccount(ctx context.Context, name, role, account, password string) error {
	var id []string
	if err := a.House.Store.Read().NewRaw("SELECT p.id FROM person AS p WHERE p.active AND p.name = ? AND p.roles = ? AND NOT EXISTS (SELECT 1 FROM account AS a WHERE a.person_id = p.id) ORDER BY p.created_ms, p.id LIMIT 1", name, `["`+role+`"]`).Scan(ctx, &id); err != nil {
		return err
	}
	if len(id) == 0 {
		return nil
	}
	return a.House.Login.SetAccount(ctx, store.System("first-start"), id[0], account, password)
}
