-- +goose Up
CREATE TABLE retrospective (
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  root_cause TEXT NOT NULL,
  went_well TEXT NOT NULL DEFAULT '',
  went_badly TEXT NOT NULL DEFAULT '',
  report TEXT NOT NULL DEFAULT '',
  held_by TEXT NOT NULL,
  held_ms BIGINT NOT NULL
);
CREATE TABLE improvement_action (
  id TEXT PRIMARY KEY,
  retrospective_id TEXT NOT NULL REFERENCES retrospective(id),
  incident_id TEXT NOT NULL,
  title TEXT NOT NULL,
  owner TEXT NOT NULL,
  due_ms BIGINT NOT NULL,
  overdue_ms BIGINT NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('open','done','dropped')),
  proof TEXT NOT NULL DEFAULT '',
  done_by TEXT NOT NULL DEFAULT '',
  done_ms BIGINT NOT NULL DEFAULT 0
);
-- +goose Down
DROP TABLE improvement_action; DROP TABLE retrospective;
