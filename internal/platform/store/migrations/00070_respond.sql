-- +goose Up
CREATE TABLE incident (
  id TEXT PRIMARY KEY,
  number TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('real','drill','test','backfill')),  -- fixed at declaration
  drill_id TEXT NOT NULL DEFAULT '',
  operator_id TEXT NOT NULL REFERENCES operator(id),
  service_id TEXT NOT NULL REFERENCES service(id),
  title TEXT NOT NULL,
  state TEXT NOT NULL,                      -- machine in internal/respond/incident
  restricted BOOLEAN NOT NULL DEFAULT FALSE,
  legal_hold BOOLEAN NOT NULL DEFAULT FALSE,
  editions TEXT NOT NULL,                   -- JSON: editions pinned at awareness
  declared_by TEXT NOT NULL,
  declared_ms BIGINT NOT NULL,
  version BIGINT NOT NULL DEFAULT 1,
  links TEXT NOT NULL DEFAULT '[]'          -- JSON: other incidents and why
);
CREATE TABLE incident_access (              -- allow-list of a restricted incident
  incident_id TEXT NOT NULL REFERENCES incident(id),
  person_id TEXT NOT NULL,
  granted_by TEXT NOT NULL,
  granted_ms BIGINT NOT NULL,
  PRIMARY KEY (incident_id, person_id)
);
CREATE TABLE incident_object (
  incident_id TEXT NOT NULL REFERENCES incident(id),
  object_id TEXT NOT NULL REFERENCES affected_object(id),
  added_ms BIGINT NOT NULL,
  PRIMARY KEY (incident_id, object_id)
);
CREATE TABLE milestone (                    -- repeatable: first and last time
  incident_id TEXT NOT NULL REFERENCES incident(id),
  name TEXT NOT NULL CHECK (name IN ('aware','declared','contained','re_spread','recovered','handling_ended','closed','reopened')),
  first_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  times INTEGER NOT NULL,
  PRIMARY KEY (incident_id, name)
);
CREATE TABLE awareness (                    -- candidates; the earliest that stands counts
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  source TEXT NOT NULL,                     -- complaint_read, alarm_seen, supplier_told, authority_called, declared …
  at_ms BIGINT NOT NULL,
  zone TEXT NOT NULL DEFAULT 'Asia/Shanghai',
  time_source TEXT NOT NULL DEFAULT 'system',
  ref TEXT NOT NULL DEFAULT '',
  entered_by TEXT NOT NULL,
  entered_ms BIGINT NOT NULL,
  withdrawn_by TEXT NOT NULL DEFAULT '',    -- moving awareness later takes two people and a reason
  withdrawn_second TEXT NOT NULL DEFAULT '',
  withdrawn_reason TEXT NOT NULL DEFAULT ''
);
CREATE TABLE incident_category (
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  guide_type TEXT NOT NULL,
  gb_category TEXT NOT NULL,
  risk TEXT NOT NULL DEFAULT '',
  rank TEXT NOT NULL CHECK (rank IN ('primary','secondary')),
  part TEXT NOT NULL CHECK (part IN ('cause','manifestation','consequence')),
  edition TEXT NOT NULL,
  set_by TEXT NOT NULL,
  set_ms BIGINT NOT NULL,
  retired_ms BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE assessment (                   -- a level is a row of assessment, never an edited field
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  object_id TEXT NOT NULL REFERENCES affected_object(id),
  stage TEXT NOT NULL CHECK (stage IN ('preliminary','confirmed','final')),
  source TEXT NOT NULL CHECK (source IN ('self','expert','authority')),
  facts TEXT NOT NULL,                      -- JSON
  importance TEXT NOT NULL,
  business_loss TEXT NOT NULL DEFAULT '',
  social_harm TEXT NOT NULL DEFAULT '',
  level_from_loss INTEGER,
  level_from_harm INTEGER,
  final_level INTEGER,                      -- NULL: an empty cell decides, a person must
  working_level INTEGER NOT NULL,
  grading TEXT NOT NULL,                    -- JSON of standard.Grading: clause, cell, reason, neighbours
  edition TEXT NOT NULL,
  assessed_by TEXT NOT NULL,
  second_by TEXT NOT NULL DEFAULT '',       -- the second person of a lowering
  reason TEXT NOT NULL DEFAULT '',
  at_ms BIGINT NOT NULL
);
CREATE INDEX assessment_incident ON assessment(incident_id, at_ms);
CREATE TABLE cac_assessment (               -- the second scale, kept apart
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  quantities TEXT NOT NULL,                 -- JSON
  grade TEXT NOT NULL,
  decided_by_indicator TEXT NOT NULL,
  verified BOOLEAN NOT NULL,
  edition TEXT NOT NULL,
  assessed_by TEXT NOT NULL,
  at_ms BIGINT NOT NULL
);
CREATE TABLE obligation (                   -- 报送义务
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  operator_id TEXT NOT NULL,
  rule_id TEXT NOT NULL,
  authority TEXT NOT NULL,
  edition TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending','owed','decision','struck_off','met')),
  clock_start_ms BIGINT NOT NULL,
  due_ms BIGINT NOT NULL DEFAULT 0,         -- 0: without a number in the rule ("promptly")
  reason TEXT NOT NULL DEFAULT '',
  submitted_ms BIGINT NOT NULL DEFAULT 0,   -- the clock stops on an attested submission only
  submitted_by TEXT NOT NULL DEFAULT '',
  receipt TEXT NOT NULL DEFAULT '',
  overdue_ms BIGINT NOT NULL DEFAULT 0,
  decided_by TEXT NOT NULL DEFAULT '',      -- who decided not to report
  decided_facts TEXT NOT NULL DEFAULT '',   -- JSON of what was known then; reopens when it gets worse
  UNIQUE (incident_id, rule_id)
);
CREATE TABLE incident_fact (                -- what the obligations are reckoned from besides level and category
  incident_id TEXT NOT NULL REFERENCES incident(id),
  name TEXT NOT NULL CHECK (name IN ('personal_information','endangering_flaw','crime_suspected','harm_avoided','occurrences','users')),
  value BIGINT NOT NULL,                    -- 0/1 for yes and no, else a number
  stated_by TEXT NOT NULL,
  stated_ms BIGINT NOT NULL,
  PRIMARY KEY (incident_id, name)
);
CREATE TABLE directive (                    -- 监管指令
  id TEXT PRIMARY KEY,
  operator_id TEXT NOT NULL,
  incident_id TEXT NOT NULL DEFAULT '',
  authority TEXT NOT NULL,
  received_ms BIGINT NOT NULL,
  due_ms BIGINT NOT NULL DEFAULT 0,
  body TEXT NOT NULL,                       -- sealed
  state TEXT NOT NULL CHECK (state IN ('open','answered')),
  answer TEXT NOT NULL DEFAULT '',
  answered_by TEXT NOT NULL DEFAULT '',
  answered_ms BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE disposal_order (               -- 处置指令
  id TEXT PRIMARY KEY,
  seq BIGINT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('real','drill','test')),
  drill_id TEXT NOT NULL DEFAULT '',
  service_id TEXT NOT NULL REFERENCES service(id),
  cause TEXT NOT NULL CHECK (cause IN ('anomaly','incident','directive','drill')),
  cause_id TEXT NOT NULL,
  incident_id TEXT NOT NULL DEFAULT '',     -- '' until adopted
  rung TEXT NOT NULL,
  measure TEXT NOT NULL,                    -- 局部调整 / 功能限制 / 下线, as adjust / restrict / offline
  scope TEXT NOT NULL,                      -- JSON
  params TEXT NOT NULL,                     -- JSON
  release_mode TEXT NOT NULL CHECK (release_mode IN ('auto','review','online_review')),
  state TEXT NOT NULL CHECK (state IN ('in_force','lifted','lapsed')),
  emergency BOOLEAN NOT NULL DEFAULT FALSE,
  issued_by TEXT NOT NULL,
  issued_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL DEFAULT 0,
  adopted_ms BIGINT NOT NULL DEFAULT 0,
  ended_by TEXT NOT NULL DEFAULT '',
  ended_second TEXT NOT NULL DEFAULT '',
  ended_ms BIGINT NOT NULL DEFAULT 0,
  ended_reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX disposal_order_state ON disposal_order(state, service_id);
CREATE TABLE order_ack (
  order_id TEXT NOT NULL REFERENCES disposal_order(id),
  gateway_id TEXT NOT NULL,
  revision BIGINT NOT NULL,
  at_ms BIGINT NOT NULL,
  streams_cut INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (order_id, gateway_id)
);
CREATE TABLE order_probe (                  -- proof from outside that an order holds
  id TEXT PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES disposal_order(id),
  gateway_id TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  effective BOOLEAN NOT NULL,
  detail TEXT NOT NULL DEFAULT ''
);
CREATE TABLE gate_review (                  -- 上下线管理审查
  id TEXT PRIMARY KEY,
  direction TEXT NOT NULL CHECK (direction IN ('offline','online')),
  order_id TEXT NOT NULL REFERENCES disposal_order(id),
  incident_id TEXT NOT NULL DEFAULT '',
  kind TEXT NOT NULL,
  emergency BOOLEAN NOT NULL DEFAULT FALSE,
  state TEXT NOT NULL CHECK (state IN ('requested','approved','rejected')),
  requested_by TEXT NOT NULL,
  requested_ms BIGINT NOT NULL,
  ground TEXT NOT NULL,
  service_test_id TEXT NOT NULL DEFAULT '',
  decided_by TEXT NOT NULL DEFAULT '',
  decided_ms BIGINT NOT NULL DEFAULT 0,
  decision_reason TEXT NOT NULL DEFAULT ''
);
CREATE TABLE evidence (                     -- 证据包: a pin on content captured at detection
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL DEFAULT '',
  anomaly_id TEXT NOT NULL DEFAULT '',
  kind TEXT NOT NULL,
  content_no TEXT NOT NULL,
  day TEXT NOT NULL,                        -- telemetry file that holds the ciphertext
  sha256 TEXT NOT NULL,                     -- of the ciphertext
  sealed_key TEXT NOT NULL DEFAULT '',      -- data key under the incident's scope
  side TEXT NOT NULL DEFAULT 'output',
  modality TEXT NOT NULL DEFAULT 'text',
  language TEXT NOT NULL DEFAULT '',
  pinned_by TEXT NOT NULL,
  pinned_ms BIGINT NOT NULL,
  UNIQUE (anomaly_id, content_no)
);
CREATE INDEX evidence_incident ON evidence(incident_id);
CREATE TABLE unmasking (                    -- audited before the bytes leave
  id TEXT PRIMARY KEY,
  evidence_id TEXT NOT NULL,
  person_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  at_ms BIGINT NOT NULL
);
CREATE TABLE reach (                        -- 触达范围: what reached whom before it was stopped
  incident_id TEXT NOT NULL REFERENCES incident(id),
  content_no TEXT NOT NULL,
  subject TEXT NOT NULL DEFAULT '',
  tenant TEXT NOT NULL DEFAULT '',
  released_runes INTEGER NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY (incident_id, content_no)
);
CREATE TABLE outside_spread (
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  platform TEXT NOT NULL,
  location TEXT NOT NULL,
  found_by TEXT NOT NULL,
  found_ms BIGINT NOT NULL,
  asked_ms BIGINT NOT NULL DEFAULT 0,
  removed_ms BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE fact_check (                   -- 核查单
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  claim TEXT NOT NULL,                      -- sealed
  source TEXT NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('true','false','misleading','unproven')),
  checker TEXT NOT NULL,
  at_ms BIGINT NOT NULL
);
CREATE TABLE plan_run (
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  plan_id TEXT NOT NULL,
  plan_version INTEGER NOT NULL,
  started_by TEXT NOT NULL,
  started_ms BIGINT NOT NULL
);
CREATE TABLE task (
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  plan_run_id TEXT NOT NULL DEFAULT '',
  step_id TEXT NOT NULL DEFAULT '',
  title TEXT NOT NULL,                      -- JSON {zh,en}
  role TEXT NOT NULL,
  automatic TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL CHECK (state IN ('open','done','skipped')),
  due_ms BIGINT NOT NULL DEFAULT 0,
  overdue_ms BIGINT NOT NULL DEFAULT 0,
  output TEXT NOT NULL DEFAULT '',
  done_by TEXT NOT NULL DEFAULT '',
  done_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX task_incident ON task(incident_id);
CREATE TABLE statement (                    -- 口径
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  audience TEXT NOT NULL,
  text TEXT NOT NULL,
  drafted_by TEXT NOT NULL,
  drafted_ms BIGINT NOT NULL,
  approved_by TEXT NOT NULL DEFAULT '',
  approved_ms BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE impact_assessment (
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  party TEXT NOT NULL,                      -- own business, named third party …
  economic TEXT NOT NULL,
  reputation TEXT NOT NULL,
  users_affected BIGINT NOT NULL DEFAULT 0,
  assessed_by TEXT NOT NULL,
  at_ms BIGINT NOT NULL
);
CREATE TABLE fix (
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  cause TEXT NOT NULL,
  measure TEXT NOT NULL,
  deployment_id TEXT NOT NULL DEFAULT '',
  fixed_by TEXT NOT NULL,
  fixed_ms BIGINT NOT NULL
);
CREATE TABLE service_test (
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  deployment_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running','passed','failed','error')),
  prompts INTEGER NOT NULL,
  runs INTEGER NOT NULL DEFAULT 0,
  harmful INTEGER NOT NULL DEFAULT 0,
  errors INTEGER NOT NULL DEFAULT 0,
  results TEXT NOT NULL DEFAULT '[]',       -- JSON: content numbers and verdicts, no content
  run_by TEXT NOT NULL,
  started_ms BIGINT NOT NULL,
  ended_ms BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE closing (
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  state TEXT NOT NULL CHECK (state IN ('applied','verified','rejected')),
  summary TEXT NOT NULL,
  applied_by TEXT NOT NULL,
  applied_ms BIGINT NOT NULL,
  verified_by TEXT NOT NULL DEFAULT '',
  verified_ms BIGINT NOT NULL DEFAULT 0,
  verification TEXT NOT NULL DEFAULT '',
  notified_ms BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE nonconformity (                -- what policy asked for and was not done, with its reason
  id TEXT PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incident(id),
  rule TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  raised_ms BIGINT NOT NULL,
  settled_ms BIGINT NOT NULL DEFAULT 0,
  UNIQUE (incident_id, rule)
);
-- +goose Down
DROP TABLE nonconformity; DROP TABLE closing; DROP TABLE service_test; DROP TABLE fix; DROP TABLE impact_assessment; DROP TABLE statement; DROP TABLE task; DROP TABLE plan_run; DROP TABLE fact_check; DROP TABLE outside_spread; DROP TABLE reach; DROP TABLE unmasking; DROP TABLE evidence; DROP TABLE gate_review; DROP TABLE order_probe; DROP TABLE order_ack; DROP TABLE disposal_order; DROP TABLE directive; DROP TABLE incident_fact; DROP TABLE obligation; DROP TABLE cac_assessment; DROP TABLE assessment; DROP TABLE incident_category; DROP TABLE awareness; DROP TABLE milestone; DROP TABLE incident_object; DROP TABLE incident_access; DROP TABLE incident;
