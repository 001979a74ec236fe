-- +goose Up
-- What the complete task semantics need: rest and size of an Event's Jobs, holes in its media, tasks that are
-- tried again, and what became of each try.

ALTER TABLE events ADD COLUMN suspended_at BIGINT;                  -- while it is set, no task is handed out
ALTER TABLE events ADD COLUMN workers INTEGER NOT NULL DEFAULT -1;  -- slots; -1: nobody has said how many
ALTER TABLE events ADD COLUMN renderers INTEGER NOT NULL DEFAULT -1;
ALTER TABLE events ADD COLUMN gap_due_at BIGINT;                    -- when the first hole in the media is given up
ALTER TABLE events ADD COLUMN retry_id TEXT NOT NULL DEFAULT '';    -- the last retry that was asked for
ALTER TABLE events ADD COLUMN revised INTEGER NOT NULL DEFAULT 0;   -- something changed after the Event was Complete
CREATE INDEX events_gap ON events (gap_due_at) WHERE gap_due_at IS NOT NULL;

ALTER TABLE chunks ADD COLUMN late INTEGER NOT NULL DEFAULT 0;

CREATE INDEX tasks_failed ON tasks (event_uid, chunk, id) WHERE state = 'failed';

-- Frames that were given up because they did not come in time.
CREATE TABLE gaps (
  event_uid   TEXT NOT NULL REFERENCES events (uid),
  first_frame BIGINT NOT NULL,
  end_frame   BIGINT NOT NULL,
  declared_at BIGINT NOT NULL,
  PRIMARY KEY (event_uid, first_frame)
);

-- Attempts that did not finish their task. The one that did is in the task's own row.
CREATE TABLE tries (
  event_uid TEXT NOT NULL REFERENCES events (uid),
  task_id   BIGINT NOT NULL,
  attempt   INTEGER NOT NULL,
  holder    TEXT NOT NULL,
  outcome   TEXT NOT NULL,               -- Failed, Lost, Released
  error     TEXT NOT NULL,
  leased_at BIGINT NOT NULL,
  ended_at  BIGINT NOT NULL,
  PRIMARY KEY (event_uid, task_id, attempt)
);

-- Objects that the sweeper is about to remove. A row that would name one is refused until it is gone.
CREATE TABLE doomed (
  event_uid  TEXT NOT NULL,
  object_key TEXT NOT NULL,
  doomed_at  BIGINT NOT NULL,
  PRIMARY KEY (event_uid, object_key)
);

-- +goose Down
DROP TABLE doomed;
DROP TABLE tries;
DROP TABLE gaps;
DROP INDEX tasks_failed;
ALTER TABLE chunks DROP COLUMN late;
DROP INDEX events_gap;
ALTER TABLE events DROP COLUMN revised;
ALTER TABLE events DROP COLUMN retry_id;
ALTER TABLE events DROP COLUMN gap_due_at;
ALTER TABLE events DROP COLUMN renderers;
ALTER TABLE events DROP COLUMN workers;
ALTER TABLE events DROP COLUMN suspended_at;
