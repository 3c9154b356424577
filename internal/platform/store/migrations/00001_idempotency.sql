-- +goose Up
-- A request that was answered once is answered the same way again (Idempotency-Key).
CREATE TABLE idempotency (
  actor TEXT NOT NULL,
  idem_key TEXT NOT NULL,
  operation TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  response TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (actor, idem_key)
);
-- +goose Down
DROP TABLE idempotency;
