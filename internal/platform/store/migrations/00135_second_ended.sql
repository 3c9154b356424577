-- +goose Up
-- A request for a second person may also end without one: its author withdraws it, or what it was about is over.
CREATE TABLE second_signature_new (
  id TEXT PRIMARY KEY,
  action TEXT NOT NULL,
  object_kind TEXT NOT NULL,
  object_id TEXT NOT NULL,
  incident_id TEXT NOT NULL DEFAULT '',
  drill_id TEXT NOT NULL DEFAULT '',
  request TEXT NOT NULL,                    -- JSON of what will be done
  reason TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('requested','confirmed','rejected','withdrawn','lapsed')),
  requested_by TEXT NOT NULL,
  requested_ms BIGINT NOT NULL,
  decided_by TEXT NOT NULL DEFAULT '',
  decided_ms BIGINT NOT NULL DEFAULT 0,
  lapsed_by TEXT NOT NULL DEFAULT ''        -- the event that ended what it was about, such as order.lapse
);
INSERT INTO second_signature_new (id, action, object_kind, object_id, incident_id, drill_id, request, reason, state, requested_by, requested_ms, decided_by, decided_ms)
  SELECT id, action, object_kind, object_id, incident_id, drill_id, request, reason, state, requested_by, requested_ms, decided_by, decided_ms FROM second_signature;
DROP TABLE second_signature;
ALTER TABLE second_signature_new RENAME TO second_signature;
CREATE INDEX second_open ON second_signature (object_kind, object_id) WHERE state = 'requested';
-- +goose Down
DELETE FROM second_signature WHERE state IN ('withdrawn', 'lapsed');
DROP INDEX second_open;
ALTER TABLE second_signature DROP COLUMN lapsed_by;
