-- +goose Up
-- How a gateway fares, as it said at its last contact.
ALTER TABLE gateway_member ADD COLUMN spool_bytes BIGINT NOT NULL DEFAULT 0; -- waiting on its disk
ALTER TABLE gateway_member ADD COLUMN folded BIGINT NOT NULL DEFAULT 0;      -- rows folded for want of room, since its start
ALTER TABLE gateway_member ADD COLUMN lost BIGINT NOT NULL DEFAULT 0;        -- rows lost, since its start
ALTER TABLE gateway_member ADD COLUMN streams BIGINT NOT NULL DEFAULT 0;     -- open then
-- +goose Down
ALTER TABLE gateway_member DROP COLUMN spool_bytes;
ALTER TABLE gateway_member DROP COLUMN folded;
ALTER TABLE gateway_member DROP COLUMN lost;
ALTER TABLE gateway_member DROP COLUMN streams;
