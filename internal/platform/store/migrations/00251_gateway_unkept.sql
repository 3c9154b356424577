-- +goose Up
-- The gateway obeys a bundle that its disk did not take: a restart would go back to an older one.
ALTER TABLE gateway_member ADD COLUMN unkept BOOLEAN NOT NULL DEFAULT FALSE;
-- +goose Down
ALTER TABLE gateway_member DROP COLUMN unkept;
