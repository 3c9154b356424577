-- +goose Up
-- Where an upstream's key may be sent: scheme://host:port. '' for what is sent nowhere.
ALTER TABLE secrets ADD COLUMN origin TEXT NOT NULL DEFAULT '';
-- +goose Down
ALTER TABLE secrets DROP COLUMN origin;
