-- +goose Up
-- The record: a Merkle tree (RFC 6962 hashing) over every decision. Each column here is either in a
-- leaf, or computed from the leaves, or signed, so that verify finds a change in any of them.

-- One row. size is the next index; edge holds the roots of the complete subtrees, widest first,
-- 32 bytes each. Taking the row with an update is what puts two writers in order.
CREATE TABLE record_head (
  id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
  epoch BIGINT NOT NULL,
  size BIGINT NOT NULL,
  edge BYTEA NOT NULL
);
INSERT INTO record_head (id, epoch, size, edge) VALUES (1, 1, 0, '');

-- leaf is the canonical text that is hashed; the other columns repeat parts of it for queries.
CREATE TABLE record_entries (
  idx BIGINT PRIMARY KEY NOT NULL,
  leaf TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  action TEXT NOT NULL,
  object_kind TEXT NOT NULL,
  object_id TEXT NOT NULL,
  actor TEXT NOT NULL,
  scope TEXT NOT NULL
);
CREATE INDEX record_entries_object ON record_entries (object_kind, object_id, idx);
CREATE INDEX record_entries_action ON record_entries (action, object_id, idx);
CREATE INDEX record_entries_scope ON record_entries (scope, idx);

-- Hashes of all complete subtrees, at the positions of golang.org/x/mod/sumdb/tlog.
CREATE TABLE record_hashes (
  pos BIGINT PRIMARY KEY NOT NULL,
  hash BYTEA NOT NULL
);

-- sealed = nonce, then salt and content under the key of the entry's scope.
CREATE TABLE record_payloads (
  idx BIGINT PRIMARY KEY NOT NULL,
  sealed BYTEA NOT NULL
);

-- One data key a scope, wrapped by the key-encryption key. Erasing a scope deletes its row. since is the
-- size of the record when the key was made, authenticated by the wrapping.
CREATE TABLE record_keys (
  scope TEXT PRIMARY KEY NOT NULL,
  since BIGINT NOT NULL,
  wrapped BYTEA NOT NULL
);

-- Signed heads (signed-note format, with origin, size, root, epoch and time).
CREATE TABLE record_checkpoints (
  epoch BIGINT NOT NULL,
  size BIGINT NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (epoch, size)
);

-- What an epoch knew when it began: the last known checkpoints, whose hash is in its first leaf.
CREATE TABLE record_epochs (
  epoch BIGINT PRIMARY KEY NOT NULL,
  known TEXT NOT NULL
);

-- Public keys that sign checkpoints; each but the first is vouched for by the one before it.
CREATE TABLE record_signers (
  fingerprint TEXT PRIMARY KEY NOT NULL,
  statement TEXT NOT NULL
);
-- +goose Down
DROP TABLE record_signers;
DROP TABLE record_epochs;
DROP TABLE record_checkpoints;
DROP TABLE record_keys;
DROP TABLE record_payloads;
DROP TABLE record_hashes;
DROP TABLE record_entries;
DROP TABLE record_head;
