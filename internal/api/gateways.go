package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

type joinBody struct {
	Body struct {
		Name     string `json:"name" maxLength:"40" doc:"of the gateway, its id from then on: small letters, digits, dot and hyphen"`
		Lifetime int64  `json:"lifetime_ms,omitempty" minimum:"0" doc:"0 = two weeks, the longest"`
	}
}

// JoinIssued shows a join token once.
type JoinIssued struct {
	Token     string `json:"token"`
	Name      string `json:"name"`
	ExpiresMs int64  `json:"expires_ms"`
}

// StopSealed shows a sealed token once; the value of token is kept in a file on the gateway's host.
type StopSealed struct {
	ID    string         `json:"id"`
	Token posture.Signed `json:"token"`
}

func (a *API) gateways() {
	const room = "containment"
	get(a, operation{path: "/gateways/members", id: "list-gateway-members", room: room, summary: "Gateways that are processes of their own, with their leases"}, func(ctx context.Context, actor store.Actor, _ *none) ([]containment.Member, error) {
		return containment.Members(ctx, a.Store.Read(), actor)
	})
	get(a, operation{path: "/gateways/stop-tokens", id: "list-stop-tokens", room: room, summary: "Sealed tokens, without their seals: which wait, which were used, which are void"}, func(ctx context.Context, actor store.Actor, _ *none) ([]containment.Stop, error) {
		return containment.Stops(ctx, a.Store.Read(), actor)
	})
	post(a, operation{path: "/gateways/join-tokens", id: "issue-join-token", room: room, summary: "Issue a token with which one gateway joins, once", secret: true}, func(ctx context.Context, tx *store.Tx, in *joinBody) (JoinIssued, error) {
		j, token, err := a.Control.IssueJoin(ctx, tx, in.Body.Name, in.Body.Lifetime)
		return JoinIssued{token, j.Name, j.ExpiresMs}, err
	})
	post(a, operation{path: "/services/{id}/stop-token", id: "seal-stop", room: room, summary: "Seal a token that takes a service offline on a gateway's host without control; one sealed before is void", secret: true}, func(ctx context.Context, tx *store.Tx, in *ByID) (StopSealed, error) {
		s, signed, err := a.Control.IssueStop(ctx, tx, in.ID)
		return StopSealed{s.ID, signed}, err
	})
	post(a, operation{path: "/gateways/{id}/revoke", id: "revoke-gateway", room: room, summary: "Take a gateway's credential away; it closes when it hears so"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		err := a.Control.RevokeGateway(ctx, tx, in.ID)
		return done{err == nil}, err
	})
}
