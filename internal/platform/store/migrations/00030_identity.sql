-- +goose Up
CREATE TABLE person (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  roles TEXT NOT NULL,                      -- JSON array of role ids
  drill_id TEXT NOT NULL DEFAULT '',        -- a stand-in of this drill; '' for a real person
  active BOOLEAN NOT NULL DEFAULT TRUE,
  created_ms BIGINT NOT NULL
);
CREATE TABLE token (
  id TEXT PRIMARY KEY,
  person_id TEXT NOT NULL REFERENCES person(id),
  hash TEXT NOT NULL UNIQUE,                -- SHA-256 of the token, hex
  label TEXT NOT NULL DEFAULT '',
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL DEFAULT 0,     -- 0 = does not expire
  revoked_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX token_person ON token(person_id);
CREATE TABLE number_series (                -- one series a name and kind; numbers have no gap within a committed history
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  year INTEGER NOT NULL,
  next INTEGER NOT NULL,
  PRIMARY KEY (name, kind, year)
);
CREATE TABLE setting (                      -- retention and the like, as data
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  changed_by TEXT NOT NULL,
  changed_ms BIGINT NOT NULL
);
-- +goose Down
DROP TABLE setting; DROP TABLE number_series; DROP TABLE token; DROP TABLE person;
