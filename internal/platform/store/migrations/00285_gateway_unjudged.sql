-- +goose Up
-- How many classifiers judge nothing on the gateway, because its version does not have their model.
ALTER TABLE gateway_member ADD COLUMN unjudged BIGINT NOT NULL DEFAULT 0;
-- +goose Down
ALTER TABLE gateway_member DROP COLUMN unjudged;
