-- +goose Up
-- How many guard models give no opinions on the gateway; older programs leave it as it is.
ALTER TABLE gateway ADD COLUMN guards_silent BIGINT NOT NULL DEFAULT 0;
-- +goose Down
ALTER TABLE gateway DROP COLUMN guards_silent;
