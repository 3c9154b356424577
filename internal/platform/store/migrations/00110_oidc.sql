-- +goose Up
CREATE TABLE oidc_provider (                -- who may vouch for persons; its client secret is in the vault
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  issuer TEXT NOT NULL UNIQUE,
  client_id TEXT NOT NULL,
  created_ms BIGINT NOT NULL
);
CREATE TABLE oidc_binding (                 -- whom a provider means by a subject
  id TEXT PRIMARY KEY,
  person_id TEXT NOT NULL REFERENCES person(id),
  provider_id TEXT NOT NULL REFERENCES oidc_provider(id),
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  waiting BOOLEAN NOT NULL,                 -- for a second person
  created_ms BIGINT NOT NULL,
  used_ms BIGINT NOT NULL DEFAULT 0,
  UNIQUE (issuer, subject),
  UNIQUE (issuer, person_id)
);
CREATE INDEX oidc_binding_person ON oidc_binding(person_id);
CREATE TABLE oidc_flow (                    -- a browser that was sent to a provider and has not come back
  state TEXT PRIMARY KEY,                   -- SHA-256, hex
  browser TEXT NOT NULL,                    -- SHA-256 of the cookie's value, hex
  provider_id TEXT NOT NULL REFERENCES oidc_provider(id),
  person_id TEXT NOT NULL DEFAULT '',       -- who binds; '' for a log-in
  session_id TEXT NOT NULL DEFAULT '',
  nonce TEXT NOT NULL,
  verifier TEXT NOT NULL,                   -- of PKCE
  expires_ms BIGINT NOT NULL
);
-- +goose Down
DROP TABLE oidc_flow; DROP TABLE oidc_binding; DROP TABLE oidc_provider;
