-- +goose Up
-- The oldest make of postures that understands this one; what older programs compile is of the first.
ALTER TABLE posture ADD COLUMN needs BIGINT NOT NULL DEFAULT 1;
-- The newest make that the gateway understands; older gateways do not say.
ALTER TABLE gateway_member ADD COLUMN understands BIGINT NOT NULL DEFAULT 1;
-- +goose Down
ALTER TABLE gateway_member DROP COLUMN understands;
ALTER TABLE posture DROP COLUMN needs;
