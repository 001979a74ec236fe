-- +goose Up
-- Task ids come in blocks of 256: a sequence gives them out without a lock that transactions hold.
CREATE SEQUENCE task_ids INCREMENT BY 256 MINVALUE 256 START WITH 256;

-- +goose Down
DROP SEQUENCE task_ids;
