-- +goose Up
ALTER TABLE setting ADD COLUMN agreed TEXT NOT NULL DEFAULT ''; -- what stood before one person alone made it stricter
-- +goose Down
ALTER TABLE setting DROP COLUMN agreed;
