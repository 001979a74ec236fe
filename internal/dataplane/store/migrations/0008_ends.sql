-- +goose Up
-- What an Event that has ended says of what it lacks, what ingest says while it is tried again, and what became of
-- results that could not be taken as their plugin reported them.

ALTER TABLE events ADD COLUMN outputs_lost INTEGER NOT NULL DEFAULT 0;   -- of a Complete Event: clips or segments are missing
ALTER TABLE events ADD COLUMN processed INTEGER NOT NULL DEFAULT 0;      -- all that was stored has been through the pipeline
ALTER TABLE events ADD COLUMN ingest_problem TEXT NOT NULL DEFAULT '';   -- why the last try of ingest ended, until there is a new unit

ALTER TABLE chunks ADD COLUMN blind INTEGER NOT NULL DEFAULT 0;          -- it was segmented without what the segmenter reads

-- What was moved, cut, merged or left out of a run's results, in words. A run that is repeated writes its rows anew.
CREATE TABLE notes (
  event_uid TEXT NOT NULL REFERENCES events (uid),
  task_id   BIGINT NOT NULL,
  ordinal   INTEGER NOT NULL,
  note      TEXT NOT NULL,
  PRIMARY KEY (event_uid, task_id, ordinal)
);

-- +goose Down
DROP TABLE notes;
ALTER TABLE chunks DROP COLUMN blind;
ALTER TABLE events DROP COLUMN ingest_problem;
ALTER TABLE events DROP COLUMN processed;
ALTER TABLE events DROP COLUMN outputs_lost;
