-- +goose Up
ALTER TABLE setting ADD COLUMN confirmed_by TEXT NOT NULL DEFAULT ''; -- the second person, where one is needed
-- +goose Down
ALTER TABLE setting DROP COLUMN confirmed_by;
