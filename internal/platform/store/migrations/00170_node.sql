-- +goose Up
-- The processes that serve this database, each under a name of its own. Times are by the database's clock.
CREATE TABLE node (
  id TEXT PRIMARY KEY,
  first_ms BIGINT NOT NULL,
  started_ms BIGINT NOT NULL,
  seen_ms BIGINT NOT NULL,
  left_ms BIGINT NOT NULL DEFAULT 0, -- it ended of its own accord; 0 while it serves
  version TEXT NOT NULL,
  built_for BIGINT NOT NULL, -- the newest schema that it knows
  modules TEXT NOT NULL -- JSON: module, version
);
-- What one node at a time does. The epoch grows with each taking, so that who was late to hear of it changes nothing.
CREATE TABLE lease (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL, -- '' when it was given back
  epoch BIGINT NOT NULL,
  until_ms BIGINT NOT NULL
);
-- How new a module has to be to go on working beside the newest one there was.
CREATE TABLE module_need (
  module TEXT PRIMARY KEY,
  version BIGINT NOT NULL,
  node TEXT NOT NULL, -- who said so
  since_ms BIGINT NOT NULL
);
-- How new a schema a program has to know to work on this one. A change that older programs do not bear raises it.
CREATE TABLE schema_need (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  oldest BIGINT NOT NULL
);
INSERT INTO schema_need (id, oldest) VALUES (1, 170);
-- The node that plays a drill, where a server does.
ALTER TABLE drill ADD COLUMN played_by TEXT NOT NULL DEFAULT '';
-- +goose Down
ALTER TABLE drill DROP COLUMN played_by;
DROP TABLE schema_need;
DROP TABLE module_need;
DROP TABLE lease;
DROP TABLE node;
