-- +goose Up
-- Times named *_us lie on an Event's timeline, times named *_at are wall clock;
-- both are integer microseconds. JSON is text. Booleans are 0 or 1. The text runs
-- on SQLite and on PostgreSQL.

CREATE TABLE counters (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('change', 0), ('task', 0);

CREATE TABLE events (
  uid           TEXT PRIMARY KEY,
  namespace     TEXT NOT NULL,
  name          TEXT NOT NULL,
  plan_hash     TEXT NOT NULL,
  state         TEXT NOT NULL,
  reason        TEXT NOT NULL DEFAULT '',
  message       TEXT NOT NULL DEFAULT '',
  version       BIGINT NOT NULL DEFAULT 0,
  timeline      TEXT NOT NULL DEFAULT '',
  frames        BIGINT NOT NULL DEFAULT 0,   -- stored without a gap from frame 0
  source_ended  INTEGER NOT NULL DEFAULT 0,
  source_frames BIGINT NOT NULL DEFAULT 0,
  first_chunk   BIGINT NOT NULL DEFAULT 1,
  watermark     BIGINT NOT NULL DEFAULT 0,   -- every chunk up to it is closed, empty or missing
  drain_due_at  BIGINT,
  exports       TEXT NOT NULL DEFAULT '',
  deleted       INTEGER NOT NULL DEFAULT 0,
  created_at    BIGINT NOT NULL,
  finished_at   BIGINT
);
CREATE INDEX events_drain ON events (drain_due_at) WHERE drain_due_at IS NOT NULL;

CREATE TABLE plans (
  event_uid TEXT PRIMARY KEY REFERENCES events (uid),
  plan      TEXT NOT NULL
);

CREATE TABLE units (
  event_uid      TEXT NOT NULL REFERENCES events (uid),
  epoch          INTEGER NOT NULL,
  first_ticks    BIGINT NOT NULL,
  object_key     TEXT NOT NULL,
  start_us       BIGINT NOT NULL,
  end_us         BIGINT NOT NULL,
  first_frame    BIGINT NOT NULL,
  end_frame      BIGINT NOT NULL,
  frames         BIGINT NOT NULL,
  idr_frames     TEXT NOT NULL,
  discontinuity  INTEGER NOT NULL,
  payload_sha256 TEXT NOT NULL,
  bytes          BIGINT NOT NULL,
  chunk          BIGINT NOT NULL,
  registered_at  BIGINT NOT NULL,
  PRIMARY KEY (event_uid, epoch, first_ticks)
);
CREATE INDEX units_frames ON units (event_uid, first_frame);
CREATE INDEX units_ends ON units (event_uid, end_frame);
CREATE INDEX units_chunk ON units (event_uid, chunk);

CREATE TABLE chunks (
  event_uid    TEXT NOT NULL REFERENCES events (uid),
  number       BIGINT NOT NULL,
  state        TEXT NOT NULL,               -- open, closed, empty, missing
  start_us     BIGINT NOT NULL,
  end_us       BIGINT NOT NULL,
  first_frame  BIGINT NOT NULL,
  frames       BIGINT NOT NULL,
  units        BIGINT NOT NULL,
  open_tasks   BIGINT NOT NULL DEFAULT 0,   -- framer, featurers, segmenter
  failed_tasks BIGINT NOT NULL DEFAULT 0,
  closed_at    BIGINT,
  PRIMARY KEY (event_uid, number)
);
CREATE INDEX chunks_start ON chunks (event_uid, start_us);

CREATE TABLE tasks (
  id               BIGINT PRIMARY KEY,
  event_uid        TEXT NOT NULL REFERENCES events (uid),
  kind             TEXT NOT NULL,
  chunk            BIGINT NOT NULL,
  plugin           TEXT NOT NULL,
  track            INTEGER NOT NULL,
  subject          TEXT NOT NULL,
  replay_uid       TEXT NOT NULL DEFAULT '',
  pool             TEXT NOT NULL,
  stage            INTEGER NOT NULL,        -- the order in which ready tasks are taken
  state            TEXT NOT NULL,           -- blocked, ready, leased, done, skipped, failed
  until_us         BIGINT NOT NULL DEFAULT 0,
  attempts         INTEGER NOT NULL DEFAULT 0,
  losses           INTEGER NOT NULL DEFAULT 0,
  leases           INTEGER NOT NULL DEFAULT 0,
  token            TEXT NOT NULL DEFAULT '',
  holder           TEXT NOT NULL DEFAULT '',
  due_at           BIGINT NOT NULL DEFAULT 0,
  lease_expires_at BIGINT NOT NULL DEFAULT 0,
  error            TEXT NOT NULL DEFAULT '',
  created_at       BIGINT NOT NULL,
  ready_at         BIGINT,
  leased_at        BIGINT,
  finished_at      BIGINT,
  UNIQUE (event_uid, kind, chunk, plugin, track, subject)
);
CREATE INDEX tasks_ready ON tasks (event_uid, pool, stage, chunk, id) WHERE state = 'ready';
CREATE INDEX tasks_ready_chunk ON tasks (event_uid, pool, chunk, stage, id) WHERE state = 'ready';
CREATE INDEX tasks_open ON tasks (event_uid, kind, chunk, plugin, track) WHERE state IN ('blocked', 'ready', 'leased');
CREATE INDEX tasks_open_plugin ON tasks (event_uid, kind, plugin, chunk) WHERE state IN ('blocked', 'ready', 'leased');
CREATE INDEX tasks_leased ON tasks (event_uid, lease_expires_at) WHERE state = 'leased';
CREATE INDEX tasks_due ON tasks (due_at) WHERE state = 'ready' AND due_at > 0;
CREATE INDEX tasks_export ON tasks (id) WHERE state = 'ready' AND kind = 'export';
CREATE INDEX tasks_replay ON tasks (replay_uid) WHERE replay_uid <> '';

CREATE TABLE signals (
  event_uid TEXT NOT NULL REFERENCES events (uid),
  chunk     BIGINT NOT NULL,
  signals   TEXT NOT NULL,
  PRIMARY KEY (event_uid, chunk)
);

CREATE TABLE results (
  event_uid   TEXT NOT NULL REFERENCES events (uid),
  plugin      TEXT NOT NULL,
  track       INTEGER NOT NULL,
  chunk       BIGINT NOT NULL,
  attempt     INTEGER NOT NULL,
  ordinal     INTEGER NOT NULL,
  state       TEXT NOT NULL,                -- staged, published
  start_frame BIGINT NOT NULL,
  start_ticks BIGINT NOT NULL,
  start_us    BIGINT NOT NULL,
  end_frame   BIGINT NOT NULL,
  end_ticks   BIGINT NOT NULL,
  end_us      BIGINT NOT NULL,
  attributes  TEXT NOT NULL,
  PRIMARY KEY (event_uid, plugin, track, chunk, attempt, ordinal)
);
CREATE INDEX results_start ON results (event_uid, start_us);
CREATE INDEX results_plugin ON results (event_uid, plugin, start_us);
CREATE INDEX results_end ON results (event_uid, plugin, end_us);

CREATE TABLE segments (
  event_uid      TEXT NOT NULL REFERENCES events (uid),
  id             TEXT NOT NULL,             -- opening chunk and ordinal, 000007-0
  state          TEXT NOT NULL,             -- Open, Complete
  opened_chunk   BIGINT NOT NULL,
  closed_chunk   BIGINT,
  reported_us    BIGINT NOT NULL,           -- the segmenter's own start, before it was snapped
  in_frame       BIGINT NOT NULL,
  in_ticks       BIGINT NOT NULL,
  in_us          BIGINT NOT NULL,
  out_frame      BIGINT,
  out_ticks      BIGINT,
  out_us         BIGINT,
  close_reason   TEXT NOT NULL DEFAULT '',
  attributes     TEXT NOT NULL,
  label          TEXT NOT NULL DEFAULT '',
  label_code     TEXT NOT NULL DEFAULT '',
  label_attributes TEXT NOT NULL DEFAULT '',
  mark_version   INTEGER NOT NULL,
  optimizer_task BIGINT,
  labeler_task   BIGINT,
  marks_final    INTEGER NOT NULL DEFAULT 0, -- the frames up to the mark-out are stored
  created_at     BIGINT NOT NULL,
  completed_at   BIGINT,
  PRIMARY KEY (event_uid, id)
);
CREATE INDEX segments_in ON segments (event_uid, in_us, id);
CREATE INDEX segments_open ON segments (event_uid) WHERE state = 'Open';
CREATE INDEX segments_pending ON segments (event_uid) WHERE state = 'Complete' AND marks_final = 0;
CREATE INDEX segments_optimizer ON segments (optimizer_task);
CREATE INDEX segments_labeler ON segments (labeler_task);

-- Marks that others than the segmenter set: an optimizer, per track, or a person.
CREATE TABLE segment_marks (
  event_uid   TEXT NOT NULL,
  segment_id  TEXT NOT NULL,
  source      TEXT NOT NULL,                -- optimizer, person
  track       INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  applied     INTEGER NOT NULL,             -- 0: the optimizer found nothing; the codes say why
  in_frame    BIGINT NOT NULL,
  in_ticks    BIGINT NOT NULL,
  in_us       BIGINT NOT NULL,
  out_frame   BIGINT NOT NULL,
  out_ticks   BIGINT NOT NULL,
  out_us      BIGINT NOT NULL,
  start_code  TEXT NOT NULL,
  end_code    TEXT NOT NULL,
  marks_final INTEGER NOT NULL DEFAULT 0,
  created_at  BIGINT NOT NULL,
  PRIMARY KEY (event_uid, segment_id, source, track, version),
  FOREIGN KEY (event_uid, segment_id) REFERENCES segments (event_uid, id)
);
CREATE INDEX segment_marks_pending ON segment_marks (event_uid) WHERE applied = 1 AND marks_final = 0;

CREATE TABLE clips (
  event_uid     TEXT NOT NULL,
  segment_id    TEXT NOT NULL,
  variant       TEXT NOT NULL,
  track         INTEGER NOT NULL,
  mark_version  INTEGER NOT NULL,
  state         TEXT NOT NULL,              -- Pending, Rendered, Failed
  task_id       BIGINT NOT NULL,
  in_frame      BIGINT NOT NULL,
  in_ticks      BIGINT NOT NULL,
  in_us         BIGINT NOT NULL,
  out_frame     BIGINT NOT NULL,
  out_ticks     BIGINT NOT NULL,
  out_us        BIGINT NOT NULL,
  object_key    TEXT NOT NULL DEFAULT '',
  thumbnail_key TEXT NOT NULL DEFAULT '',
  proof         TEXT NOT NULL DEFAULT '',
  error         TEXT NOT NULL DEFAULT '',
  rendered_at   BIGINT,
  PRIMARY KEY (event_uid, segment_id, variant, track, mark_version),
  FOREIGN KEY (event_uid, segment_id) REFERENCES segments (event_uid, id)
);
CREATE INDEX clips_task ON clips (task_id);

CREATE TABLE replays (
  uid         TEXT PRIMARY KEY,
  event_uid   TEXT NOT NULL REFERENCES events (uid),
  namespace   TEXT NOT NULL,
  name        TEXT NOT NULL,
  generation  BIGINT NOT NULL,
  rules       TEXT NOT NULL,
  plan_hash   TEXT NOT NULL DEFAULT '',     -- the current plan; empty before the first
  created_at  BIGINT NOT NULL
);
CREATE INDEX replays_event ON replays (event_uid);

CREATE TABLE replay_plans (
  replay_uid  TEXT NOT NULL REFERENCES replays (uid),
  hash        TEXT NOT NULL,
  inputs_seq  BIGINT NOT NULL,              -- the Event's version that it was made from
  parts       TEXT NOT NULL,
  decisions   TEXT NOT NULL,
  duration_us BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  PRIMARY KEY (replay_uid, hash)
);

CREATE TABLE reels (
  replay_uid    TEXT NOT NULL REFERENCES replays (uid),
  plan_hash     TEXT NOT NULL,
  output        TEXT NOT NULL,
  ordinal       INTEGER NOT NULL,
  state         TEXT NOT NULL,              -- Pending, Rendered, Failed
  task_id       BIGINT NOT NULL,
  object_key    TEXT NOT NULL DEFAULT '',
  thumbnail_key TEXT NOT NULL DEFAULT '',
  proof         TEXT NOT NULL DEFAULT '',
  error         TEXT NOT NULL DEFAULT '',
  rendered_at   BIGINT,
  PRIMARY KEY (replay_uid, plan_hash, output)
);
CREATE INDEX reels_task ON reels (task_id);

-- Only the newest change of an object is kept: a reader that was away sees each
-- object once.
CREATE TABLE changes (
  kind      TEXT NOT NULL,
  uid       TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name      TEXT NOT NULL,
  seq       BIGINT NOT NULL UNIQUE,
  PRIMARY KEY (kind, uid)
);

CREATE TABLE tombstones (
  uid         TEXT PRIMARY KEY,
  kind        TEXT NOT NULL,                -- Event, Replay
  event_uid   TEXT NOT NULL,
  namespace   TEXT NOT NULL,
  name        TEXT NOT NULL,
  policy      TEXT NOT NULL,
  phase       TEXT NOT NULL,                -- Tombstoned, Rows, Objects, Done
  kept        TEXT NOT NULL DEFAULT '[]',
  created_at  BIGINT NOT NULL,
  finished_at BIGINT
);
CREATE INDEX tombstones_event ON tombstones (event_uid);

-- +goose Down
DROP TABLE tombstones;
DROP TABLE changes;
DROP TABLE reels;
DROP TABLE replay_plans;
DROP TABLE replays;
DROP TABLE clips;
DROP TABLE segment_marks;
DROP TABLE segments;
DROP TABLE results;
DROP TABLE signals;
DROP TABLE tasks;
DROP TABLE chunks;
DROP TABLE units;
DROP TABLE plans;
DROP TABLE events;
DROP TABLE counters;
