-- +goose Up
-- What plugins in containers need: worker pools that have names, context variables, the health of their
-- processes, and what reviewers think.

ALTER TABLE events ADD COLUMN pools TEXT NOT NULL DEFAULT '';       -- slots of pools that have a name
ALTER TABLE events ADD COLUMN ailing INTEGER NOT NULL DEFAULT 0;    -- plugin_health has rows of it
ALTER TABLE tasks ADD COLUMN swap TEXT NOT NULL DEFAULT '';         -- digest of the last swap that succeeded

-- Context variables. Values are JSON: text, numbers, booleans.
CREATE TABLE variables (
  event_uid TEXT NOT NULL REFERENCES events (uid),
  name      TEXT NOT NULL,
  value     TEXT NOT NULL,
  PRIMARY KEY (event_uid, name)
);

-- Plugins whose process does not work as it should, as each holder of tasks sees it.
CREATE TABLE plugin_health (
  event_uid TEXT NOT NULL REFERENCES events (uid),
  plugin    TEXT NOT NULL,
  holder    TEXT NOT NULL,
  state     TEXT NOT NULL,               -- StartFailed, Crashed, TimedOut
  message   TEXT NOT NULL,
  since_at  BIGINT NOT NULL,
  heard_at  BIGINT NOT NULL,             -- when the holder was heard of last, give or take a minute
  PRIMARY KEY (event_uid, plugin, holder)
);
CREATE INDEX plugin_health_heard ON plugin_health (heard_at);

-- What reviewers think of a segment's clips on a track, as JSON; empty for no opinion.
CREATE TABLE feedback (
  event_uid  TEXT NOT NULL,
  segment_id TEXT NOT NULL,
  track      INTEGER NOT NULL,
  reviewer   TEXT NOT NULL,
  original   TEXT NOT NULL,
  optimized  TEXT NOT NULL,
  PRIMARY KEY (event_uid, segment_id, track, reviewer),
  FOREIGN KEY (event_uid, segment_id) REFERENCES segments (event_uid, id)
);

-- +goose Down
DROP TABLE feedback;
DROP TABLE plugin_health;
DROP TABLE variables;
ALTER TABLE tasks DROP COLUMN swap;
ALTER TABLE events DROP COLUMN ailing;
ALTER TABLE events DROP COLUMN pools;
