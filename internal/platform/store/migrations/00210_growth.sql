-- +goose Up
-- What hangs on an incident is found by it, however many incidents there are.
CREATE INDEX awareness_incident ON awareness(incident_id);
CREATE INDEX incident_category_incident ON incident_category(incident_id);
CREATE INDEX cac_assessment_incident ON cac_assessment(incident_id);
CREATE INDEX directive_incident ON directive(incident_id);
CREATE INDEX gate_review_incident ON gate_review(incident_id);
CREATE INDEX gate_review_order ON gate_review(order_id);
CREATE INDEX order_probe_order ON order_probe(order_id, gateway_id, at_ms, id);
CREATE INDEX unmasking_evidence ON unmasking(evidence_id);
CREATE INDEX outside_spread_incident ON outside_spread(incident_id);
CREATE INDEX fact_check_incident ON fact_check(incident_id);
CREATE INDEX plan_run_incident ON plan_run(incident_id);
CREATE INDEX task_run ON task(plan_run_id);
CREATE INDEX statement_incident ON statement(incident_id);
CREATE INDEX impact_assessment_incident ON impact_assessment(incident_id);
CREATE INDEX fix_incident ON fix(incident_id);
CREATE INDEX service_test_incident ON service_test(incident_id);
CREATE INDEX closing_incident ON closing(incident_id);
CREATE INDEX second_signature_incident ON second_signature(incident_id);
CREATE INDEX retrospective_incident ON retrospective(incident_id);
CREATE INDEX improvement_action_incident ON improvement_action(incident_id);
CREATE INDEX drill_incident ON drill(incident_id);
CREATE INDEX improvement_action_retrospective ON improvement_action(retrospective_id);
-- What is open is few among many, and so is what failed among what is due.
CREATE INDEX due_retry ON due(next_ms) WHERE state = 'pending' AND attempts > 0;
CREATE INDEX due_put_off ON due(next_ms) WHERE state = 'pending' AND next_ms > due_ms;
CREATE INDEX incident_open ON incident(id) WHERE state <> 'closed';
CREATE INDEX incident_restricted ON incident(id) WHERE restricted;
CREATE INDEX anomaly_decided ON anomaly(decided_ms, fingerprint, id);
CREATE INDEX obligation_standing ON obligation(incident_id) WHERE state IN ('pending', 'owed', 'decision');
CREATE INDEX obligation_list ON obligation(clock_start_ms DESC, id DESC);
-- Lists are counted by what they are filtered by, without what is hidden and without reading a row.
CREATE INDEX anomaly_facets ON anomaly(state, kind, service_id, rule_id, risk, severity, id);
CREATE INDEX incident_facets ON incident(state, kind, service_id, restricted, id);
CREATE INDEX assessment_standing ON assessment(incident_id, object_id, source, at_ms, id, working_level);
CREATE INDEX disposal_order_facets ON disposal_order(state, rung, measure, kind, service_id, incident_id);
CREATE INDEX complaint_facets ON complaint(state, kind, service_id, traffic_kind, anomaly_id);
CREATE INDEX outbox_facets ON outbox(template, channel, state, object_id);
-- +goose Down
DROP INDEX outbox_facets; DROP INDEX complaint_facets; DROP INDEX disposal_order_facets; DROP INDEX assessment_standing; DROP INDEX incident_facets; DROP INDEX anomaly_facets;
DROP INDEX obligation_list; DROP INDEX obligation_standing; DROP INDEX anomaly_decided; DROP INDEX incident_restricted; DROP INDEX incident_open; DROP INDEX due_put_off; DROP INDEX due_retry;
DROP INDEX improvement_action_retrospective; DROP INDEX drill_incident; DROP INDEX improvement_action_incident; DROP INDEX retrospective_incident; DROP INDEX second_signature_incident; DROP INDEX closing_incident;
DROP INDEX service_test_incident; DROP INDEX fix_incident; DROP INDEX impact_assessment_incident; DROP INDEX statement_incident; DROP INDEX task_run; DROP INDEX plan_run_incident; DROP INDEX fact_check_incident;
DROP INDEX outside_spread_incident; DROP INDEX unmasking_evidence; DROP INDEX order_probe_order; DROP INDEX gate_review_order; DROP INDEX gate_review_incident; DROP INDEX directive_incident;
DROP INDEX cac_assessment_incident; DROP INDEX incident_category_incident; DROP INDEX awareness_incident;
