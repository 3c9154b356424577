-- +goose Up
-- On which timeline of its PostgreSQL server the record goes on; '' is not known yet, or SQLite.
CREATE TABLE server_timeline (
  id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
  line TEXT NOT NULL
);
INSERT INTO server_timeline (id, line) VALUES (1, '');
-- +goose Down
DROP TABLE server_timeline;
