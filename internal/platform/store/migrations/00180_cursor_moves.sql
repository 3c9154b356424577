-- +goose Up
ALTER TABLE anomaly_cursor ADD COLUMN moves BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE anomaly_cursor DROP COLUMN moves;
