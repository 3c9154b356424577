-- +goose Up
-- What gateways were handed last: one row. revision grows with every change of postures, keys or
-- orders; order_seq is the highest seq ever given to an order.
CREATE TABLE bundle_state (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  revision BIGINT NOT NULL,
  order_seq BIGINT NOT NULL,
  keys_digest TEXT NOT NULL,                -- of the gateway keys as of this revision
  changed_ms BIGINT NOT NULL
);
INSERT INTO bundle_state (id, revision, order_seq, keys_digest, changed_ms) VALUES (1, 0, 0, '', 0);
-- +goose Down
DROP TABLE bundle_state;
