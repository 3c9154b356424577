package api

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

type operatorBody struct {
	Body struct {
		Name     string `json:"name" maxLength:"200"`
		Province string `json:"province" maxLength:"50"`
		Kind     string `json:"kind" enum:"cii,central_organ,other"`
		Filings  string `json:"filings,omitempty" doc:"JSON array"`
	}
}

type serviceBody struct {
	Body struct {
		OperatorID string `json:"operator_id"`
		Name       string `json:"name" maxLength:"200"`
		ModelName  string `json:"model_name" maxLength:"100" doc:"what clients put in model"`
		FilingNo   string `json:"filing_no,omitempty" maxLength:"100"`
	}
}

// ServiceAdded is a new service with its own affected object.
type ServiceAdded struct {
	Service service.Service        `json:"service"`
	Object  service.AffectedObject `json:"object"`
}

type deploymentBody struct {
	ByID
	Body struct {
		Name                string `json:"name" maxLength:"100"`
		ModelVersion        string `json:"model_version" maxLength:"100"`
		SystemPromptVersion string `json:"system_prompt_version,omitempty" maxLength:"100"`
		Route               string `json:"route,omitempty" maxLength:"100"`
		UpstreamURL         string `json:"upstream_url" maxLength:"500"`
		UpstreamModel       string `json:"upstream_model" maxLength:"100"`
		SecretRef           string `json:"secret_ref,omitempty" maxLength:"100"`
		Role                string `json:"role" enum:"primary,backup"`
		Filed               bool   `json:"filed,omitempty"`
	}
}

type objectBody struct {
	ByID
	Body struct {
		Kind string `json:"kind" enum:"service,dataset,model,system"`
		Name string `json:"name" maxLength:"200"`
	}
}

type importanceBody struct {
	ByID
	Body struct {
		Level  string `json:"level" enum:"特别重要,重要,一般"`
		Ground string `json:"ground" maxLength:"1000"`
		FromMs int64  `json:"from_ms,omitempty" minimum:"0" doc:"0 = now"`
	}
}

type keyBody struct {
	ByID
	Body struct {
		Tenant      string `json:"tenant" maxLength:"100"`
		UserGroup   string `json:"user_group" maxLength:"100"`
		TrafficKind string `json:"traffic_kind" enum:"real,drill,test"`
		Simulated   bool   `json:"simulated,omitempty"`
		Label       string `json:"label,omitempty" maxLength:"100"`
	}
}

// KeyIssued shows a gateway key once.
type KeyIssued struct {
	Key   service.GatewayKey `json:"gateway_key"`
	Clear string             `json:"key"`
}

type secretBody struct {
	Body struct {
		Name   string `json:"name" maxLength:"100"`
		Origin string `json:"origin" maxLength:"300" doc:"scheme://host:port of the upstream; the key is sent nowhere else"`
		Value  string `json:"value" maxLength:"4000"`
	}
}

func (a *API) services() {
	const room = "service"
	get(a, operation{path: "/operators", id: "list-operators", room: room, summary: "List operators"}, func(ctx context.Context, actor store.Actor, _ *none) ([]service.Operator, error) {
		return list[service.Operator](ctx, a, actor, "")
	})
	post(a, operation{path: "/operators", id: "add-operator", room: room, summary: "Register an operator"}, func(ctx context.Context, tx *store.Tx, in *operatorBody) (service.Operator, error) {
		b := in.Body
		return service.AddOperator(ctx, tx, service.Operator{Name: b.Name, Province: b.Province, Kind: b.Kind, Filings: b.Filings})
	})
	get(a, operation{path: "/services", id: "list-services", room: room, summary: "List services"}, func(ctx context.Context, actor store.Actor, _ *none) ([]service.Service, error) {
		return list[service.Service](ctx, a, actor, "")
	})
	post(a, operation{path: "/services", id: "add-service", room: room, summary: "Register a service"}, func(ctx context.Context, tx *store.Tx, in *serviceBody) (ServiceAdded, error) {
		b := in.Body
		s, o, err := service.AddService(ctx, tx, service.Service{OperatorID: b.OperatorID, Name: b.Name, ModelName: b.ModelName, FilingNo: b.FilingNo, Kind: "real"})
		return ServiceAdded{s, o}, err
	})
	get(a, operation{path: "/services/{id}/deployments", id: "list-deployments", room: room, summary: "List the deployments of a service"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]service.Deployment, error) {
		return list[service.Deployment](ctx, a, actor, in.ID)
	})
	post(a, operation{path: "/services/{id}/deployments", id: "add-deployment", room: room, summary: "Register a deployment"}, func(ctx context.Context, tx *store.Tx, in *deploymentBody) (service.Deployment, error) {
		b := in.Body
		return service.AddDeployment(ctx, tx, service.Deployment{ServiceID: in.ID, Name: b.Name, ModelVersion: b.ModelVersion, SystemPromptVersion: b.SystemPromptVersion, Route: b.Route,
			UpstreamURL: b.UpstreamURL, UpstreamModel: b.UpstreamModel, SecretRef: b.SecretRef, Role: b.Role, Filed: b.Filed})
	})
	get(a, operation{path: "/services/{id}/objects", id: "list-objects", room: room, summary: "List the affected objects of a service"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]service.AffectedObject, error) {
		return list[service.AffectedObject](ctx, a, actor, in.ID)
	})
	post(a, operation{path: "/services/{id}/objects", id: "add-object", room: room, summary: "Register an affected object"}, func(ctx context.Context, tx *store.Tx, in *objectBody) (service.AffectedObject, error) {
		return service.AddObject(ctx, tx, service.AffectedObject{ServiceID: in.ID, Kind: in.Body.Kind, Name: in.Body.Name})
	})
	get(a, operation{path: "/services/{id}/importance", id: "list-importance", room: room, summary: "Every statement of how important a service's affected objects are, newest first"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]service.Importance, error) {
		if err := identity.Require(actor, "service.read"); err != nil {
			return nil, err
		}
		return service.ImportanceOf(ctx, a.Store.Read(), in.ID)
	})
	post(a, operation{path: "/objects/{id}/importance", id: "set-importance", room: room, summary: "State the importance of an affected object"}, func(ctx context.Context, tx *store.Tx, in *importanceBody) (service.Importance, error) {
		return service.SetImportance(ctx, tx, service.Importance{ObjectID: in.ID, Level: in.Body.Level, Ground: in.Body.Ground, FromMs: in.Body.FromMs})
	})
	get(a, operation{path: "/services/{id}/keys", id: "list-keys", room: room, summary: "List the gateway keys of a service"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]service.GatewayKey, error) {
		return list[service.GatewayKey](ctx, a, actor, in.ID)
	})
	get(a, operation{path: "/keys", id: "list-all-keys", room: room, summary: "List the gateway keys of all services"}, func(ctx context.Context, actor store.Actor, _ *none) ([]service.GatewayKey, error) {
		return list[service.GatewayKey](ctx, a, actor, "")
	})
	post(a, operation{path: "/services/{id}/keys", id: "issue-key", room: room, summary: "Issue a gateway key", secret: true}, func(ctx context.Context, tx *store.Tx, in *keyBody) (KeyIssued, error) {
		b := in.Body
		k, clear, err := service.IssueKey(ctx, tx, service.GatewayKey{ServiceID: in.ID, Tenant: b.Tenant, UserGroup: b.UserGroup, TrafficKind: b.TrafficKind, Simulated: b.Simulated, Label: b.Label})
		return KeyIssued{k, clear}, err
	})
	post(a, operation{path: "/keys/{id}/revoke", id: "revoke-key", room: room, summary: "Revoke a gateway key"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		return done{true}, service.RevokeKey(ctx, tx, in.ID)
	})
	post(a, operation{path: "/secrets", id: "put-secret", room: room, summary: "Keep an upstream key", secret: true}, func(ctx context.Context, tx *store.Tx, in *secretBody) (done, error) {
		if err := identity.Require(tx.Actor, "service.manage"); err != nil {
			return done{}, err
		}
		if err := identity.RequireDrill(tx.Actor, ""); err != nil {
			return done{}, err
		}
		err := a.Secrets.PutUpstream(ctx, tx, in.Body.Name, in.Body.Origin, []byte(in.Body.Value))
		return done{err == nil}, err
	})
	post(a, operation{path: "/services/{id}/posture", id: "compile-posture", room: room, summary: "Compile and hand out the posture of a service now"}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Body struct {
			Reason string `json:"reason" maxLength:"500"`
		}
	}) (done, error) {
		if err := identity.Require(tx.Actor, "service.manage"); err != nil {
			return done{}, err
		}
		s, err := service.Get[service.Service](ctx, tx, "service_id", in.ID)
		if err != nil {
			return done{}, err
		}
		if err := identity.RequireDrill(tx.Actor, s.DrillID); err != nil {
			return done{}, err
		}
		_, err = a.Control.CompilePosture(ctx, tx, in.ID, in.Body.Reason)
		return done{err == nil}, err
	})
}

// list reads rows of the service room for those who may.
func list[T any](ctx context.Context, a *API, actor store.Actor, serviceID string) ([]T, error) {
	if err := identity.Require(actor, "service.read"); err != nil {
		return nil, err
	}
	if actor.Drill != "" {
		var db bun.IDB = a.Store.Read()
		s, err := service.Get[service.Service](ctx, db, "service_id", serviceID)
		if err != nil {
			return nil, err
		}
		if err := identity.RequireDrill(actor, s.DrillID); err != nil {
			return nil, err
		}
	}
	return service.List[T](ctx, a.Store.Read(), serviceID)
}
