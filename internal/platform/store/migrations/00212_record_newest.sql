-- +goose Up
-- The newest entries of one action, without putting all of them in order.
CREATE INDEX record_entries_newest ON record_entries (action, idx);
-- +goose Down
DROP INDEX record_entries_newest;
