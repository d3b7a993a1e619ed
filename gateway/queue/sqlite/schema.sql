-- Version 7 of the schema (PRAGMA user_version); how older files become so is in migrations.sql.

-- One row for each version of each instance that arrived. It outlives its files as the memory that recognises
-- repeated arrivals. No patient data: instances go by pseudonym.
CREATE TABLE IF NOT EXISTS instance (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    pseudonym   TEXT NOT NULL,          -- keyed BLAKE3 of the SOP Instance UID
    study       TEXT,                   -- keyed BLAKE3 of the Study Instance UID; NULL: not found
    digest      TEXT NOT NULL,          -- BLAKE3 of transfer syntax and data set as received
    route_key   TEXT NOT NULL,
    called      TEXT NOT NULL,
    calling     TEXT NOT NULL,
    action      TEXT NOT NULL,
    on_failure  TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    incoming    TEXT NOT NULL,          -- spool name of the file as received
    outgoing    TEXT,                   -- spool name of the file to be sent; NULL: the one received
    level       TEXT,
    reason      TEXT,
    received_at REAL NOT NULL,
    finished_at REAL,                   -- no job is left to do
    purged_at   REAL,                   -- its files are gone, or nobody needs them any more
    UNIQUE (pseudonym, route_key, digest)
);

CREATE TABLE IF NOT EXISTS job (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER NOT NULL REFERENCES instance (id) ON DELETE CASCADE,
    pseudonym   TEXT NOT NULL,
    step        TEXT NOT NULL,          -- prepare | deliver
    priority    INTEGER NOT NULL DEFAULT 1, -- 0 urgent, 1 normal, 2 low
    destination TEXT NOT NULL,          -- '' for prepare
    state       TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    deaths      INTEGER NOT NULL DEFAULT 0,
    not_before  REAL NOT NULL DEFAULT 0,
    worker      TEXT,
    lease_until REAL,
    reason      TEXT,
    hint        TEXT,
    changed_at  REAL NOT NULL,
    failed_at   REAL,                   -- of the first failure since it was put or a person tried it again
    instead_of  TEXT                    -- the destination that does not take it, for which this one stands in
);

-- What is noted about a destination; most have no row.
CREATE TABLE IF NOT EXISTS destination (
    name       TEXT PRIMARY KEY,
    paused_at  REAL,                    -- by a person; NULL: it works
    down_since REAL,                    -- nobody answered there since then; NULL: the last delivery succeeded
    gateway    TEXT                     -- id of the gateway that answers there; NULL: another program, or not known
);

-- Requests of storage commitment (PS3.4 annex J): who asked, and whether the answer was reported.
CREATE TABLE IF NOT EXISTS commitment (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_uid TEXT NOT NULL,
    calling         TEXT NOT NULL,      -- AE title of the requester
    called          TEXT NOT NULL,
    requested_at    REAL NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0, -- to report
    not_before      REAL NOT NULL DEFAULT 0,
    ended_at        REAL,               -- reported, or given up
    ending          TEXT,               -- committed | failed | unreported
    UNIQUE (transaction_uid, calling)
);

CREATE TABLE IF NOT EXISTS commitment_item (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    commitment_id INTEGER NOT NULL REFERENCES commitment (id) ON DELETE CASCADE,
    sop_class     TEXT NOT NULL,
    sop_instance  TEXT NOT NULL,        -- the report must name it, so that a pseudonym is not enough
    pseudonym     TEXT NOT NULL
);

-- Entries of the ledger from the moment an object is sealed until they are written there. No patient data.
CREATE TABLE IF NOT EXISTS unlogged (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER NOT NULL,       -- which may be forgotten before
    pseudonym   TEXT NOT NULL,
    entry       BLOB NOT NULL
);

CREATE INDEX IF NOT EXISTS commitment_open ON commitment (not_before) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS commitment_ended ON commitment (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS commitment_items ON commitment_item (commitment_id);
CREATE INDEX IF NOT EXISTS job_ready ON job (step, destination, priority, id) WHERE state = 'ready';
CREATE INDEX IF NOT EXISTS job_leased ON job (lease_until) WHERE state = 'leased';
CREATE INDEX IF NOT EXISTS job_open ON job (pseudonym, destination, id) WHERE state IN ('waiting', 'ready', 'leased');
CREATE INDEX IF NOT EXISTS job_delivered ON job (pseudonym, destination, id) WHERE state = 'done';
CREATE INDEX IF NOT EXISTS job_undone ON job (state, step, destination) WHERE state NOT IN ('done', 'dropped');
CREATE INDEX IF NOT EXISTS job_of_instance ON job (instance_id);
CREATE INDEX IF NOT EXISTS instance_study ON instance (study) WHERE study IS NOT NULL;
CREATE INDEX IF NOT EXISTS instance_finished ON instance (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS instance_kept ON instance (finished_at) WHERE finished_at IS NOT NULL AND purged_at IS NULL;
