-- +goose Up
-- What one person asked for and another must confirm before it takes effect.
CREATE TABLE second_signature (
  id TEXT PRIMARY KEY,
  action TEXT NOT NULL,
  object_kind TEXT NOT NULL,
  object_id TEXT NOT NULL,
  incident_id TEXT NOT NULL DEFAULT '',
  drill_id TEXT NOT NULL DEFAULT '',
  request TEXT NOT NULL,                    -- JSON of what will be done
  reason TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('requested','confirmed','rejected')),
  requested_by TEXT NOT NULL,
  requested_ms BIGINT NOT NULL,
  decided_by TEXT NOT NULL DEFAULT '',
  decided_ms BIGINT NOT NULL DEFAULT 0
);
-- +goose Down
DROP TABLE second_signature;
