-- +goose Up
CREATE TABLE channel (                      -- a way to the world that two persons set up; its secret parts are in the vault
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,                       -- what outbox.channel says; one that is active has each name at most
  kind TEXT NOT NULL CHECK (kind IN ('webhook', 'mail')),
  class TEXT NOT NULL CHECK (class IN ('staff', 'authority', 'platform', 'public')),
  simulated BOOLEAN NOT NULL,
  shown TEXT NOT NULL,                      -- where it leads, without what only the two sides know
  carries TEXT NOT NULL,                    -- JSON array of the recipients whose messages it carries too
  state TEXT NOT NULL CHECK (state IN ('waiting', 'active', 'removed')),
  replaces TEXT NOT NULL DEFAULT '',        -- id of the one that it takes the place of
  asked_by TEXT NOT NULL,
  confirmed_by TEXT NOT NULL DEFAULT '',
  since_ms BIGINT NOT NULL                  -- in this state
);
CREATE UNIQUE INDEX channel_name ON channel (name) WHERE state = 'active';
-- +goose Down
DROP TABLE channel;
