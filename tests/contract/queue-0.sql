BEGIN TRANSACTION;
CREATE TABLE instance (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    pseudonym   TEXT NOT NULL,          -- keyed BLAKE3 of the SOP Instance UID
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
    finished_at REAL,                   -- no job is left to do; the files are gone
    UNIQUE (pseudonym, route_key, digest)
);
INSERT INTO "instance" VALUES(1,'0000000000000001','0000000000000000000000000000000100000000000000000000000000000001','SEALGATE/seal/pacs','SEALGATE','MODALITY','seal','quarantine',1000,'in-1-1','out-1-1','full','sealed',1000000.0,NULL);
INSERT INTO "instance" VALUES(2,'0000000000000002','0000000000000000000000000000000200000000000000000000000000000001','SEALGATE/seal/pacs','SEALGATE','MODALITY','seal','quarantine',1000,'in-2-1',NULL,NULL,NULL,1000000.0,NULL);
INSERT INTO "instance" VALUES(3,'0000000000000003','0000000000000000000000000000000300000000000000000000000000000001','SEALGATE/seal/pacs','SEALGATE','MODALITY','pass','quarantine',1000,'in-3-1',NULL,NULL,NULL,1000000.0,1000000.0);
INSERT INTO "instance" VALUES(4,'0000000000000004','0000000000000000000000000000000400000000000000000000000000000001','SEALGATE/seal/pacs','SEALGATE','MODALITY','pass','quarantine',1000,'in-4-1',NULL,NULL,NULL,1000000.0,NULL);
INSERT INTO "instance" VALUES(5,'0000000000000005','0000000000000000000000000000000500000000000000000000000000000001','SEALGATE/seal/pacs','SEALGATE','MODALITY','seal','quarantine',1000,'in-5-1','out-5-1','full','sealed',1000000.0,NULL);
CREATE TABLE job (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER NOT NULL REFERENCES instance (id) ON DELETE CASCADE,
    pseudonym   TEXT NOT NULL,
    step        TEXT NOT NULL,          -- prepare | deliver
    destination TEXT NOT NULL,          -- '' for prepare
    state       TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    deaths      INTEGER NOT NULL DEFAULT 0,
    not_before  REAL NOT NULL DEFAULT 0,
    worker      TEXT,
    lease_until REAL,
    reason      TEXT,
    hint        TEXT,
    changed_at  REAL NOT NULL
);
INSERT INTO "job" VALUES(1,1,'0000000000000001','prepare','','done',0,0,0.0,NULL,NULL,NULL,NULL,1000000.0);
INSERT INTO "job" VALUES(2,1,'0000000000000001','deliver','pacs','done',0,0,0.0,NULL,NULL,NULL,NULL,1000000.0);
INSERT INTO "job" VALUES(3,1,'0000000000000001','deliver','archive','ready',0,0,0.0,NULL,NULL,NULL,NULL,1000000.0);
INSERT INTO "job" VALUES(4,2,'0000000000000002','prepare','','parked',1,0,0.0,NULL,NULL,'unreadable','Look at it.',1000000.0);
INSERT INTO "job" VALUES(5,2,'0000000000000002','deliver','pacs','waiting',0,0,0.0,NULL,NULL,NULL,NULL,1000000.0);
INSERT INTO "job" VALUES(6,3,'0000000000000003','deliver','pacs','done',0,0,0.0,NULL,NULL,NULL,NULL,1000000.0);
INSERT INTO "job" VALUES(7,4,'0000000000000004','deliver','pacs','ready',0,0,0.0,NULL,NULL,NULL,NULL,1000000.0);
INSERT INTO "job" VALUES(8,5,'0000000000000005','prepare','','done',0,0,0.0,NULL,NULL,NULL,NULL,1000000.0);
INSERT INTO "job" VALUES(9,5,'0000000000000005','deliver','pacs','held',0,0,0.0,NULL,NULL,NULL,NULL,1000000.0);
CREATE INDEX job_ready ON job (step, destination, id) WHERE state = 'ready';
CREATE INDEX job_leased ON job (lease_until) WHERE state = 'leased';
CREATE INDEX job_open ON job (pseudonym, destination, id) WHERE state IN ('waiting', 'ready', 'leased');
CREATE INDEX job_delivered ON job (pseudonym, destination, id) WHERE state = 'done';
CREATE INDEX job_undone ON job (state, step, destination) WHERE state NOT IN ('done', 'dropped');
CREATE INDEX job_of_instance ON job (instance_id);
CREATE INDEX instance_finished ON instance (finished_at) WHERE finished_at IS NOT NULL;
COMMIT;
