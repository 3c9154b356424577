-- +goose Up
-- Secrets, each sealed under the key-encryption key, which is never in this file.
CREATE TABLE secrets (
  name TEXT PRIMARY KEY NOT NULL,
  sealed BYTEA NOT NULL,
  updated_ms BIGINT NOT NULL
);
-- +goose Down
DROP TABLE secrets;
