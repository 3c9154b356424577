-- +goose Up
-- Sealed tokens: each takes one service offline on a gateway's host, without control. One unused one per service.
CREATE TABLE gateway_stop (
  id TEXT PRIMARY KEY,
  service_id TEXT NOT NULL REFERENCES service(id),
  issued_by TEXT NOT NULL,
  issued_ms BIGINT NOT NULL,
  void_ms BIGINT NOT NULL DEFAULT 0,        -- a newer one took its place
  used_ms BIGINT NOT NULL DEFAULT 0,        -- control heard of it and gave the order
  gateway_id TEXT NOT NULL DEFAULT '',      -- on which it was used
  order_id TEXT NOT NULL DEFAULT ''
);
-- +goose Down
DROP TABLE gateway_stop;
