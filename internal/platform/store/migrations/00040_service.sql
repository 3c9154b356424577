-- +goose Up
CREATE TABLE operator (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  province TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('cii','central_organ','other')),
  filings TEXT NOT NULL DEFAULT '[]',       -- JSON array
  created_ms BIGINT NOT NULL
);
CREATE TABLE service (
  id TEXT PRIMARY KEY,
  operator_id TEXT NOT NULL REFERENCES operator(id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('real','drill','test')),
  drill_id TEXT NOT NULL DEFAULT '',
  filing_no TEXT NOT NULL DEFAULT '',
  model_name TEXT NOT NULL,                 -- the model name that clients ask the gateway for
  created_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX service_model_name ON service(model_name);
CREATE TABLE deployment (
  id TEXT PRIMARY KEY,
  service_id TEXT NOT NULL REFERENCES service(id),
  name TEXT NOT NULL,
  model_version TEXT NOT NULL,
  system_prompt_version TEXT NOT NULL DEFAULT '',
  route TEXT NOT NULL DEFAULT 'default',
  upstream_url TEXT NOT NULL,
  upstream_model TEXT NOT NULL,
  secret_ref TEXT NOT NULL DEFAULT '',      -- name in the secret store of the upstream key
  role TEXT NOT NULL CHECK (role IN ('primary','backup')),
  filed BOOLEAN NOT NULL DEFAULT FALSE,
  tested_ms BIGINT NOT NULL DEFAULT 0,
  created_ms BIGINT NOT NULL
);
CREATE TABLE affected_object (
  id TEXT PRIMARY KEY,
  service_id TEXT NOT NULL REFERENCES service(id),
  kind TEXT NOT NULL CHECK (kind IN ('service','dataset','model','system')),
  name TEXT NOT NULL,
  created_ms BIGINT NOT NULL
);
CREATE TABLE importance (                   -- dated; the newest row at or before an instant holds
  id TEXT PRIMARY KEY,
  object_id TEXT NOT NULL REFERENCES affected_object(id),
  level TEXT NOT NULL CHECK (level IN ('特别重要','重要','一般')),
  ground TEXT NOT NULL,
  from_ms BIGINT NOT NULL,
  set_by TEXT NOT NULL
);
CREATE INDEX importance_object ON importance(object_id, from_ms);
CREATE TABLE gateway_key (
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,                -- SHA-256 of the key, hex
  operator_id TEXT NOT NULL REFERENCES operator(id),
  service_id TEXT NOT NULL REFERENCES service(id),
  tenant TEXT NOT NULL,
  user_group TEXT NOT NULL,
  traffic_kind TEXT NOT NULL CHECK (traffic_kind IN ('real','drill','test')),
  simulated BOOLEAN NOT NULL DEFAULT FALSE,
  label TEXT NOT NULL DEFAULT '',
  created_ms BIGINT NOT NULL,
  revoked_ms BIGINT NOT NULL DEFAULT 0
);
-- +goose Down
DROP TABLE gateway_key; DROP TABLE importance; DROP TABLE affected_object; DROP TABLE deployment; DROP TABLE service; DROP TABLE operator;
