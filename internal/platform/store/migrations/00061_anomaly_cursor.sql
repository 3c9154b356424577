-- +goose Up
-- Up to which position of telemetry the anomalies reflect it; moved in the write that counts.
CREATE TABLE anomaly_cursor (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  position BIGINT NOT NULL
);
-- +goose Down
DROP TABLE anomaly_cursor;
