-- +goose Up
-- In which ways an entry is looked for other than the usual, as JSON; programs before this one compile none that says something here.
ALTER TABLE lexicon_entry ADD COLUMN matching TEXT NOT NULL DEFAULT '{}';
-- Each entry that comes is compared with those of its term: without this an import took longer the more there was.
CREATE INDEX lexicon_entry_term ON lexicon_entry (term);
-- +goose Down
DROP INDEX lexicon_entry_term;
ALTER TABLE lexicon_entry DROP COLUMN matching;
