-- +goose Up
-- Whole indexes: SQLite takes one that leaves rows out only for a question that says so, and not all did.
DROP INDEX anomaly_incident;
CREATE INDEX anomaly_incident ON anomaly(incident_id);
DROP INDEX anomaly_merged;
CREATE INDEX anomaly_merged ON anomaly(merged_into);
-- What the record is counted and searched by, so that neither reads the leaves.
DROP INDEX record_entries_facets;
CREATE INDEX record_entries_facets ON record_entries (action, object_kind, scope, object_id, actor);
-- +goose Down
DROP INDEX record_entries_facets;
CREATE INDEX record_entries_facets ON record_entries (action, object_kind, scope, object_id);
DROP INDEX anomaly_merged;
CREATE INDEX anomaly_merged ON anomaly(merged_into) WHERE merged_into <> '';
DROP INDEX anomaly_incident;
CREATE INDEX anomaly_incident ON anomaly(incident_id) WHERE incident_id <> '';
