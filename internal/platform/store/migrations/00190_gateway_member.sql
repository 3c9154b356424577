-- +goose Up
-- Gateways that are processes of their own. A join token lets one gateway of the given name enrol, once; from then on
-- it holds a credential of its own. Its lease ends by the store's clock.
CREATE TABLE gateway_join (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,                       -- of the gateway, its id from then on
  hash TEXT NOT NULL UNIQUE,                -- SHA-256 of the token, hex
  issued_by TEXT NOT NULL,
  issued_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  used_ms BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE gateway_member (
  id TEXT PRIMARY KEY,
  url TEXT NOT NULL,                        -- where control reaches it for probes; '' = nowhere
  credential_hash TEXT NOT NULL UNIQUE,     -- SHA-256 of its credential, hex
  public_key TEXT NOT NULL,                 -- X25519, base64: what is sent to it is sealed to this
  version TEXT NOT NULL DEFAULT '',
  join_id TEXT NOT NULL REFERENCES gateway_join(id),
  joined_ms BIGINT NOT NULL,
  revoked_ms BIGINT NOT NULL DEFAULT 0,
  lease_until_ms BIGINT NOT NULL DEFAULT 0
);
-- +goose Down
DROP TABLE gateway_member; DROP TABLE gateway_join;
