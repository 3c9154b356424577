-- +goose Up
ALTER TABLE drill ADD COLUMN by_server BOOLEAN NOT NULL DEFAULT FALSE; -- played by the server itself, not by a client
-- +goose Down
ALTER TABLE drill DROP COLUMN by_server;
