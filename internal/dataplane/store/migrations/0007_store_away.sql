-- +goose Up
-- Since when each try of a task has found the object store away; 0 when the last one did not.

ALTER TABLE tasks ADD COLUMN away_since BIGINT NOT NULL DEFAULT 0;
