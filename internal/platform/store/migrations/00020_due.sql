-- +goose Up
-- A row is one thing that must happen at an instant. 0 in a time column means never.
CREATE TABLE due (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  name TEXT NOT NULL DEFAULT '',
  object_kind TEXT NOT NULL,
  object_id TEXT NOT NULL,
  incident_kind TEXT NOT NULL CHECK (incident_kind IN ('real', 'drill', 'test', 'backfill')),
  due_ms BIGINT NOT NULL,
  -- When the worker looks at it next: due_ms at first, later after an attempt that failed.
  next_ms BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'fired', 'cancelled', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  first_attempt_ms BIGINT NOT NULL DEFAULT 0,
  owner TEXT NOT NULL DEFAULT '',
  lease_until_ms BIGINT NOT NULL DEFAULT 0,
  fired_ms BIGINT NOT NULL DEFAULT 0,
  set_ms BIGINT NOT NULL,
  payload TEXT NOT NULL DEFAULT '{}',
  last_error TEXT NOT NULL DEFAULT '',
  UNIQUE (object_kind, object_id, kind, name)
);
CREATE INDEX due_next ON due (next_ms) WHERE state = 'pending';
CREATE INDEX due_open ON due (due_ms) WHERE state IN ('pending', 'failed');
CREATE INDEX due_object ON due (object_id, kind);
-- What the auditor has paged about, so that a restart does not page twice within one interval.
CREATE TABLE overdue_page (
  source TEXT NOT NULL,
  row_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  times INTEGER NOT NULL,
  last_ms BIGINT NOT NULL,
  receipt TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (source, row_id, reason)
);
-- +goose Down
DROP TABLE overdue_page;
DROP TABLE due;
