-- One section for each version of the schema: what makes the version before into it.

-- to_1 --
ALTER TABLE job ADD COLUMN failed_at REAL;
ALTER TABLE job ADD COLUMN instead_of TEXT;
CREATE TABLE destination (name TEXT PRIMARY KEY, paused_at REAL, down_since REAL);

-- to_2 --
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
DROP INDEX job_ready;
CREATE INDEX job_ready ON job (step, destination, priority, id) WHERE state = 'ready';

-- to_3 --
ALTER TABLE instance ADD COLUMN study TEXT;
CREATE INDEX instance_study ON instance (study) WHERE study IS NOT NULL;

-- to_4 --
ALTER TABLE instance ADD COLUMN purged_at REAL;
UPDATE instance SET purged_at = finished_at WHERE finished_at IS NOT NULL;
CREATE INDEX instance_kept ON instance (finished_at) WHERE finished_at IS NOT NULL AND purged_at IS NULL;

-- to_5 --
CREATE TABLE commitment (
    id INTEGER PRIMARY KEY AUTOINCREMENT, transaction_uid TEXT NOT NULL, calling TEXT NOT NULL, called TEXT NOT NULL,
    requested_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0, ended_at REAL,
    ending TEXT, UNIQUE (transaction_uid, calling));
CREATE TABLE commitment_item (
    id INTEGER PRIMARY KEY AUTOINCREMENT, commitment_id INTEGER NOT NULL REFERENCES commitment (id) ON DELETE CASCADE,
    sop_class TEXT NOT NULL, sop_instance TEXT NOT NULL, pseudonym TEXT NOT NULL);
CREATE INDEX commitment_open ON commitment (not_before) WHERE ended_at IS NULL;
CREATE INDEX commitment_ended ON commitment (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX commitment_items ON commitment_item (commitment_id);

-- to_6 --
ALTER TABLE destination ADD COLUMN gateway TEXT;

-- to_7 --
CREATE TABLE unlogged (
    id INTEGER PRIMARY KEY AUTOINCREMENT, instance_id INTEGER NOT NULL, pseudonym TEXT NOT NULL, entry BLOB NOT NULL);
