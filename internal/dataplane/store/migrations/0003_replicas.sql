-- +goose Up
-- What several replicas need: a feed that writers do not queue for, and when one of them was alive last. And
-- indexes for what lists and idle polls read.

-- Objects that changed and have no number in the feed yet. Its reader gives them one.
CREATE TABLE changed (
  kind      TEXT NOT NULL,
  uid       TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name      TEXT NOT NULL,
  PRIMARY KEY (kind, uid)
);

-- Wall clock of the last time that a data plane was seen alive; 0 before the first.
INSERT INTO counters (name, value) VALUES ('alive', 0);

CREATE INDEX tasks_event ON tasks (event_uid, id);
CREATE INDEX tasks_open_pool ON tasks (event_uid, pool) WHERE state IN ('blocked', 'ready', 'leased');

-- +goose Down
DROP INDEX tasks_open_pool;
DROP INDEX tasks_event;
DELETE FROM counters WHERE name = 'alive';
DROP TABLE changed;
