-- +goose Up
-- In which ways an entry is looked for other than the usual, as JSON; programs before this one compile none that says something here.
ALTER TABLE lexicon_entry ADD COLUMN matching TEXT NOT NULL DEFAULT '{}';
-- Each entry that comes is compared with those of its term: without this an import took longer the more there was.
-- Not the whole term: PostgreSQL takes no long ones into an index, and imports before this program bounded none.
CREATE INDEX lexicon_entry_term ON lexicon_entry (substr(term, 1, 300));
-- +goose Down
DROP INDEX lexicon_entry_term;
ALTER TABLE lexicon_entry DROP COLUMN matching;
