-- +goose Up
CREATE TABLE account (                      -- how a person logs in here
  person_id TEXT PRIMARY KEY REFERENCES person(id),
  name TEXT NOT NULL,
  folded TEXT NOT NULL UNIQUE,              -- the name in lower case
  password TEXT NOT NULL,                   -- argon2id with its parameters
  password_ms BIGINT NOT NULL,
  totp_ms BIGINT NOT NULL DEFAULT 0,        -- since when a code is asked for; 0 = it is not
  totp_step BIGINT NOT NULL DEFAULT 0,      -- the last time step whose code was taken
  created_ms BIGINT NOT NULL
);
CREATE TABLE session (
  id TEXT PRIMARY KEY,
  person_id TEXT NOT NULL REFERENCES person(id),
  hash TEXT NOT NULL UNIQUE,                -- SHA-256 of the cookie's value, hex
  roles TEXT NOT NULL,                      -- the person's when it began: other roles end it
  way TEXT NOT NULL,                        -- password, totp, passkey, oidc
  address TEXT NOT NULL,
  agent TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  seen_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  ended_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX session_person ON session(person_id);
CREATE TABLE login_attempt (                -- what was tried and not forgiven, by account and by address
  what TEXT PRIMARY KEY,                    -- "account:" and a hash of its name, "address:" and where from
  tries BIGINT NOT NULL,
  refused BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  until_ms BIGINT NOT NULL                  -- nothing more before this instant
);
CREATE TABLE passkey (
  id TEXT PRIMARY KEY,
  person_id TEXT NOT NULL REFERENCES person(id),
  handle TEXT NOT NULL UNIQUE,              -- the credential's id, base64url
  credential TEXT NOT NULL,                 -- JSON: public key, counter, flags
  label TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  used_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX passkey_person ON passkey(person_id);
CREATE TABLE ceremony (                     -- a passkey exchange that has begun
  id TEXT PRIMARY KEY,
  person_id TEXT NOT NULL DEFAULT '',       -- who registers; '' for a log-in
  state TEXT NOT NULL,                      -- JSON with the challenge
  expires_ms BIGINT NOT NULL
);
CREATE TABLE invitation (                   -- a one-time link with which a person sets up an account
  id TEXT PRIMARY KEY,
  person_id TEXT NOT NULL REFERENCES person(id),
  hash TEXT NOT NULL UNIQUE,                -- SHA-256 of the link's token, hex
  waiting BOOLEAN NOT NULL,                 -- for a second person
  account TEXT NOT NULL DEFAULT '',         -- what was chosen so far
  password TEXT NOT NULL DEFAULT '',
  issued_by TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL,
  used_ms BIGINT NOT NULL DEFAULT 0,
  void_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX invitation_person ON invitation(person_id);
ALTER TABLE token ADD COLUMN waiting BOOLEAN NOT NULL DEFAULT FALSE; -- for a second person
-- +goose Down
ALTER TABLE token DROP COLUMN waiting;
DROP TABLE invitation; DROP TABLE ceremony; DROP TABLE passkey; DROP TABLE login_attempt; DROP TABLE session; DROP TABLE account;
