-- +goose Up
-- A message that leaves after the commit that decided it. 0 in a time column means never.
CREATE TABLE outbox (
  id TEXT PRIMARY KEY,
  idem_key TEXT NOT NULL UNIQUE,
  channel TEXT NOT NULL,
  class TEXT NOT NULL CHECK (class IN ('staff', 'authority', 'platform', 'public')),
  simulated BOOLEAN NOT NULL DEFAULT FALSE,
  recipient TEXT NOT NULL,
  lang TEXT NOT NULL CHECK (lang IN ('zh', 'en')),
  incident_kind TEXT NOT NULL CHECK (incident_kind IN ('real', 'drill', 'test', 'backfill')),
  object_kind TEXT NOT NULL,
  object_id TEXT NOT NULL,
  template TEXT NOT NULL,
  args TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'refused', 'failed', 'dismissed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  first_attempt_ms BIGINT NOT NULL DEFAULT 0,
  queued_ms BIGINT NOT NULL,
  next_ms BIGINT NOT NULL,
  owner TEXT NOT NULL DEFAULT '',
  lease_until_ms BIGINT NOT NULL DEFAULT 0,
  sent_ms BIGINT NOT NULL DEFAULT 0,
  receipt TEXT NOT NULL DEFAULT '',
  last_error TEXT NOT NULL DEFAULT '',
  acknowledged_ms BIGINT NOT NULL DEFAULT 0,
  acknowledged_by TEXT NOT NULL DEFAULT ''
);
CREATE INDEX outbox_next ON outbox (channel, next_ms) WHERE state = 'pending';
CREATE INDEX outbox_open ON outbox (queued_ms) WHERE state IN ('pending', 'refused', 'failed');
CREATE INDEX outbox_object ON outbox (object_id, queued_ms);
CREATE INDEX outbox_unread ON outbox (recipient, queued_ms) WHERE acknowledged_ms = 0;
-- +goose Down
DROP TABLE outbox;
