-- +goose Up
CREATE TABLE lexicon_entry (
  id TEXT PRIMARY KEY,
  service_id TEXT NOT NULL DEFAULT '',      -- '' = every service
  term TEXT NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('observe','mask','replace','block')),
  risk TEXT NOT NULL,                       -- A.1.a … A.5.b
  topic TEXT NOT NULL DEFAULT '',
  contexts TEXT NOT NULL DEFAULT '[]',      -- JSON array: fires only near one of these
  strict_only BOOLEAN NOT NULL DEFAULT FALSE,   -- only while a strict filter order is in force
  secret BOOLEAN NOT NULL DEFAULT FALSE,        -- from a directive: masked in console and logs
  source TEXT NOT NULL,                     -- starter, import, incident:<id>, emergency
  state TEXT NOT NULL CHECK (state IN ('live','retired')),
  expires_ms BIGINT NOT NULL DEFAULT 0,     -- emergency entries lapse after 24 h unless approved
  created_by TEXT NOT NULL,
  approved_by TEXT NOT NULL DEFAULT '',
  created_ms BIGINT NOT NULL
);
CREATE TABLE plan (                         -- 预案: one row a version; the body is the strict plan document
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  scenario TEXT NOT NULL,
  category TEXT NOT NULL,                   -- guide type id, or '*'
  level INTEGER NOT NULL,                   -- 1 … 4
  edition TEXT NOT NULL,
  body TEXT NOT NULL,                       -- JSON
  digest TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('draft','approved','retired')),
  created_by TEXT NOT NULL,
  approved_by TEXT NOT NULL DEFAULT '',
  created_ms BIGINT NOT NULL,
  approved_ms BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (id, version)
);
CREATE TABLE drill (
  id TEXT PRIMARY KEY,
  number TEXT NOT NULL,
  scenario TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running','paused','passed','failed','aborted')),
  service_id TEXT NOT NULL DEFAULT '',
  incident_id TEXT NOT NULL DEFAULT '',
  started_by TEXT NOT NULL,
  started_ms BIGINT NOT NULL,
  ended_ms BIGINT NOT NULL DEFAULT 0,
  stages TEXT NOT NULL DEFAULT '[]'         -- JSON
);
-- +goose Down
DROP TABLE drill; DROP TABLE plan; DROP TABLE lexicon_entry;
