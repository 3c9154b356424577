-- +goose Up
-- Long lists are read newest first and counted by what they are filtered by.
CREATE INDEX anomaly_list ON anomaly(opened_ms DESC, id DESC);
CREATE INDEX anomaly_incident ON anomaly(incident_id) WHERE incident_id <> '';
CREATE INDEX anomaly_merged ON anomaly(merged_into) WHERE merged_into <> '';
CREATE INDEX incident_list ON incident(declared_ms DESC, id DESC);
CREATE INDEX complaint_list ON complaint(received_ms DESC, id DESC);
CREATE INDEX complaint_anomaly ON complaint(anomaly_id);
CREATE INDEX outbox_list ON outbox(queued_ms DESC, id DESC);
CREATE INDEX disposal_order_incident ON disposal_order(incident_id);
-- +goose Down
DROP INDEX disposal_order_incident; DROP INDEX outbox_list; DROP INDEX complaint_anomaly; DROP INDEX complaint_list; DROP INDEX incident_list; DROP INDEX anomaly_merged; DROP INDEX anomaly_incident; DROP INDEX anomaly_list;
