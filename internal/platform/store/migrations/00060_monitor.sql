-- +goose Up
CREATE TABLE posture (
  digest TEXT PRIMARY KEY,
  service_id TEXT NOT NULL REFERENCES service(id),
  seq BIGINT NOT NULL,                      -- per service, monotonic
  body TEXT NOT NULL,                       -- canonical JSON
  reason TEXT NOT NULL,
  compiled_by TEXT NOT NULL,
  compiled_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX posture_seq ON posture(service_id, seq);
CREATE TABLE gateway (
  id TEXT PRIMARY KEY,
  revision BIGINT NOT NULL DEFAULT 0,       -- of the bundle it last acknowledged
  last_seen_ms BIGINT NOT NULL,
  effective BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE TABLE anomaly (
  id TEXT PRIMARY KEY,
  number TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('real','drill','test','backfill')),
  drill_id TEXT NOT NULL DEFAULT '',
  service_id TEXT NOT NULL REFERENCES service(id),
  rule_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,                -- signals with the same one join the same open anomaly
  category TEXT NOT NULL DEFAULT '',        -- proposed guide type id
  risk TEXT NOT NULL DEFAULT '',            -- A.1.a … of the signals
  severity TEXT NOT NULL DEFAULT 'normal',
  modality TEXT NOT NULL DEFAULT 'text',
  language TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL CHECK (state IN ('open','assessing','dismissed','promoted','merged')),
  signals INTEGER NOT NULL DEFAULT 0,
  subjects INTEGER NOT NULL DEFAULT 0,      -- distinct; 'unknown' not counted
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  opened_ms BIGINT NOT NULL,
  assessed_by TEXT NOT NULL DEFAULT '',
  assessed_ms BIGINT NOT NULL DEFAULT 0,    -- the alarm was seen: an awareness candidate
  decided_by TEXT NOT NULL DEFAULT '',
  decided_ms BIGINT NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  merged_into TEXT NOT NULL DEFAULT '',
  incident_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX anomaly_open ON anomaly(state, service_id, fingerprint);
CREATE TABLE signal (                       -- those that joined an anomaly; the flood stays in telemetry
  id TEXT PRIMARY KEY,
  anomaly_id TEXT NOT NULL REFERENCES anomaly(id),
  source TEXT NOT NULL,                     -- gateway, complaint, person …
  service_id TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  content_no TEXT NOT NULL DEFAULT '',
  complaint_id TEXT NOT NULL DEFAULT '',
  subject TEXT NOT NULL DEFAULT '',         -- HMAC
  tenant TEXT NOT NULL DEFAULT '',
  rule TEXT NOT NULL DEFAULT '',            -- lexicon entry or check that fired
  risk TEXT NOT NULL DEFAULT '',
  action TEXT NOT NULL DEFAULT '',
  side TEXT NOT NULL DEFAULT '',            -- input or output
  modality TEXT NOT NULL DEFAULT 'text',
  language TEXT NOT NULL DEFAULT ''
);
CREATE INDEX signal_anomaly ON signal(anomaly_id, at_ms);
CREATE TABLE complaint (
  id TEXT PRIMARY KEY,
  number TEXT NOT NULL UNIQUE,              -- the query number
  code_hash TEXT NOT NULL,                  -- the complainant's query code, hashed
  kind TEXT NOT NULL CHECK (kind IN ('complaint','report','rights_notice')),
  traffic_kind TEXT NOT NULL CHECK (traffic_kind IN ('real','drill','test','backfill')),
  service_id TEXT NOT NULL REFERENCES service(id),
  content_no TEXT NOT NULL DEFAULT '',
  body TEXT NOT NULL,                       -- sealed under subject:<id>: text and contact
  modality TEXT NOT NULL DEFAULT 'text',
  language TEXT NOT NULL DEFAULT '',
  received_ms BIGINT NOT NULL,
  read_ms BIGINT NOT NULL DEFAULT 0,
  read_by TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL CHECK (state IN ('received','read','answered')),
  anomaly_id TEXT NOT NULL DEFAULT '',
  answer TEXT NOT NULL DEFAULT '',          -- sealed
  answered_by TEXT NOT NULL DEFAULT '',
  answered_ms BIGINT NOT NULL DEFAULT 0
);
-- +goose Down
DROP TABLE complaint; DROP TABLE signal; DROP TABLE anomaly; DROP TABLE gateway; DROP TABLE posture;
