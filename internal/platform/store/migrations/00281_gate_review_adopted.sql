-- +goose Up
-- The review of an order that became part of an incident afterwards did not become part of it.
UPDATE gate_review SET incident_id = (SELECT o.incident_id FROM disposal_order o WHERE o.id = gate_review.order_id)
  WHERE incident_id = '' AND EXISTS (SELECT 1 FROM disposal_order o WHERE o.id = gate_review.order_id AND o.incident_id <> '');
-- +goose Down
SELECT 1;
