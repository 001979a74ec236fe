-- +goose Up
-- What came of every retry, by its word: a repeat of the call gets the answer of the first one. events.retry_id,
-- which held the last word, is not read any more; replicas of the version before do so while they are replaced.
CREATE TABLE retries (
  event_uid TEXT NOT NULL REFERENCES events (uid),
  id        TEXT NOT NULL,
  result    TEXT NOT NULL,               -- JSON
  PRIMARY KEY (event_uid, id)
);
INSERT INTO retries (event_uid, id, result) SELECT uid, retry_id, '{"retried":0,"left":[]}' FROM events WHERE retry_id <> '';

-- +goose Down
DROP TABLE retries;
