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
