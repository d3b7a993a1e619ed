-- insert_instance --
INSERT INTO instance (pseudonym, study, digest, route_key, called, calling, action, on_failure, bytes, incoming,
                      received_at)
VALUES (:pseudonym, :study, :digest, :route_key, :called, :calling, :action, :on_failure, :bytes, :incoming, :now)
ON CONFLICT DO NOTHING
RETURNING id;

-- insert_job --
INSERT INTO job (instance_id, pseudonym, step, destination, priority, state, reason, hint, changed_at)
VALUES (:instance_id, :pseudonym, :step, :destination, :priority, :state, :reason, :hint, :now);

-- find_instance --
-- lost: its object is gone or damaged, and a repeated arrival mends it. While one of its deliveries is under way it is
-- not lost: that delivery must not find another object when it is tried again.
SELECT id, EXISTS (
    SELECT 1 FROM job WHERE job.instance_id = instance.id AND job.state = 'parked'
      AND job.reason IN ('file-missing', 'spool-corrupt'))
  AND NOT EXISTS (
    SELECT 1 FROM job WHERE job.instance_id = instance.id AND job.state = 'leased') AS lost
FROM instance WHERE pseudonym = :pseudonym AND route_key = :route_key AND digest = :digest;

-- changed --
-- Other bytes of the same instance do not count when people gave them up.
SELECT 1 FROM instance JOIN job ON job.instance_id = instance.id
WHERE instance.pseudonym = :pseudonym AND instance.digest != :digest
  AND job.step = 'deliver' AND job.state != 'dropped' AND job.destination IN (SELECT value FROM json_each(:destinations))
LIMIT 1;

-- replace_file --
UPDATE instance SET incoming = :incoming, outgoing = NULL, level = NULL, reason = NULL WHERE id = :id;

-- reopen_jobs --
-- Jobs begin again, except deliveries to destinations that have the object already.
UPDATE job SET attempts = 0, deaths = 0, not_before = 0, failed_at = NULL, reason = NULL, hint = NULL, changed_at = :now,
    state = CASE WHEN step = 'deliver' AND :prepares THEN 'waiting' ELSE 'ready' END
WHERE instance_id = :id AND (step = 'prepare' OR state IN ('waiting', 'ready', 'parked'));

-- wake_parked --
-- The sender tries again, so we do too.
UPDATE job SET state = 'ready', attempts = 0, deaths = 0, not_before = 0, failed_at = NULL, changed_at = :now
WHERE instance_id = :instance_id AND state = 'parked'
RETURNING id;

-- claim --
-- The most urgent jobs that are due, the oldest of them first, unless a person paused the destination. Jobs that were
-- changed in the future are due as well: the clock was set back, and the time for which they wait may be hours away.
-- A delivery waits while an older version of the same instance is still to be delivered to its destination, so that
-- versions arrive there in the order in which they were received. It does not wait for a version whose prepare job
-- waits for a person: an object that was damaged in transfer and sent again must not be stuck behind the damaged copy.
UPDATE job SET state = 'leased', worker = :worker, lease_until = :until, changed_at = :now
WHERE id IN (
    SELECT candidate.id FROM job AS candidate
    WHERE candidate.state = 'ready' AND candidate.step = :step AND candidate.destination = :destination
      AND (candidate.not_before <= :now OR candidate.changed_at > :now + 1)
      AND NOT EXISTS (SELECT 1 FROM destination WHERE name = :destination AND paused_at IS NOT NULL)
      AND (:step = 'prepare' OR NOT EXISTS (
          SELECT 1 FROM job AS older
          WHERE older.pseudonym = candidate.pseudonym AND older.destination = candidate.destination
            AND older.instance_id < candidate.instance_id AND older.state IN ('waiting', 'ready', 'leased')
            AND NOT (older.state = 'waiting' AND EXISTS (
                SELECT 1 FROM job AS preparation
                WHERE preparation.instance_id = older.instance_id AND preparation.step = 'prepare'
                  AND preparation.state IN ('parked', 'held', 'dropped')))))
    ORDER BY candidate.priority, candidate.id LIMIT :limit)
RETURNING id;

-- jobs_by_id --
SELECT job.id, job.instance_id, job.pseudonym, instance.study, job.step, job.destination, job.priority, job.state, job.attempts, job.deaths,
       job.not_before, job.reason, job.hint, job.instead_of, instance.route_key, instance.called, instance.calling, instance.action, instance.on_failure,
       instance.bytes, instance.incoming, instance.outgoing, instance.level, instance.reason AS outcome,
       instance.received_at
FROM job JOIN instance ON instance.id = job.instance_id
WHERE job.id IN (SELECT value FROM json_each(:ids))
ORDER BY job.id;

-- overtaken --
SELECT 1 FROM job
WHERE state = 'ready' AND step = 'deliver' AND destination = :destination AND priority < :priority
  AND not_before <= :now
LIMIT 1;

-- paused --
SELECT 1 FROM destination WHERE name = :destination AND paused_at IS NOT NULL;

-- people_pause --
INSERT INTO destination (name, paused_at) VALUES (:destination, :now)
ON CONFLICT (name) DO UPDATE SET paused_at = excluded.paused_at WHERE paused_at IS NULL
RETURNING name;

-- people_resume --
UPDATE destination SET paused_at = NULL WHERE name = :destination AND paused_at IS NOT NULL RETURNING name;

-- notes --
SELECT name, paused_at, down_since FROM destination ORDER BY name;

-- unreachable --
INSERT INTO destination (name, down_since) VALUES (:destination, :now)
ON CONFLICT (name) DO UPDATE SET down_since = excluded.down_since WHERE down_since IS NULL;

-- gateway_at --
SELECT gateway FROM destination WHERE name = :destination;

-- answered_by --
INSERT INTO destination (name, gateway) VALUES (:destination, :gateway)
ON CONFLICT (name) DO UPDATE SET gateway = excluded.gateway;

-- comes_back --
SELECT 1 FROM instance
JOIN job ON job.instance_id = instance.id AND job.step = 'deliver' AND job.state != 'dropped'
JOIN destination ON destination.name = job.destination
WHERE instance.pseudonym = :pseudonym AND instance.route_key = :route_key AND destination.gateway IS NOT NULL
  AND (instance.calling != :calling OR destination.gateway = :gateway)
LIMIT 1;

-- answers --
UPDATE destination SET down_since = NULL WHERE name = :destination AND down_since IS NOT NULL;

-- fail_over --
-- A delivery to the other destination for each delivery that failed long enough ago, or that waits for a destination
-- where nobody has answered for that long. The first delivery stays as it is. An instance without an object to be sent
-- gets no second delivery.
INSERT INTO job (instance_id, pseudonym, step, destination, priority, state, changed_at, instead_of)
SELECT instance_id, pseudonym, 'deliver', :other, priority, 'ready', :now, :destination FROM job
WHERE step = 'deliver' AND destination = :destination AND state IN ('ready', 'parked')
  AND (failed_at <= :before OR (state = 'ready' AND EXISTS (
      SELECT 1 FROM destination WHERE name = :destination AND down_since <= :before)))
  AND (reason IS NULL OR reason NOT IN ('file-missing', 'spool-corrupt'))
  AND NOT EXISTS (SELECT 1 FROM destination WHERE name = :destination AND paused_at IS NOT NULL)
  AND NOT EXISTS (
      SELECT 1 FROM job AS there WHERE there.instance_id = job.instance_id AND there.destination = :other)
ORDER BY id
RETURNING id;

-- extend --
UPDATE job SET lease_until = :until
WHERE state = 'leased' AND worker = :worker AND id IN (SELECT value FROM json_each(:ids));

-- finish --
UPDATE job SET state = 'done', worker = NULL, lease_until = NULL, reason = NULL, hint = NULL, changed_at = :now
WHERE id = :id AND state = 'leased' AND worker = :worker;

-- set_outcome --
UPDATE instance SET outgoing = :outgoing, level = :level, reason = :reason WHERE id = :instance_id;

-- insert_unlogged --
INSERT INTO unlogged (instance_id, pseudonym, entry) VALUES (:instance_id, :pseudonym, :entry);

-- unlogged --
-- An older version that is still to be prepared is delivered first, and so comes first in the ledger.
SELECT id, entry FROM unlogged WHERE NOT EXISTS (
    SELECT 1 FROM job WHERE job.pseudonym = unlogged.pseudonym AND job.destination = '' AND job.step = 'prepare'
      AND job.state IN ('waiting', 'ready', 'leased') AND job.instance_id < unlogged.instance_id)
ORDER BY instance_id, id LIMIT :limit;

-- count_unlogged --
SELECT count(*) AS entries FROM unlogged;

-- delete_unlogged --
DELETE FROM unlogged WHERE id IN (SELECT value FROM json_each(:ids));

-- open_deliveries --
UPDATE job SET state = 'ready', not_before = 0, changed_at = :now
WHERE instance_id = :instance_id AND step = 'deliver' AND state = 'waiting'
RETURNING id;

-- drop_superseded --
-- The destination has a newer version of the same instance already: the older version must not come after it.
UPDATE job SET state = 'dropped', reason = 'superseded', hint = 'A newer version was delivered.', changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND step = 'deliver' AND state = 'ready' AND EXISTS (
    SELECT 1 FROM job AS newer
    WHERE newer.pseudonym = job.pseudonym AND newer.destination = job.destination AND newer.step = 'deliver'
      AND newer.instance_id > job.instance_id AND newer.state = 'done')
RETURNING id, instance_id;

-- retry --
UPDATE job SET state = 'ready', worker = NULL, lease_until = NULL, attempts = attempts + :counted,
       deaths = deaths + :died, not_before = :not_before, reason = :reason, hint = :hint, changed_at = :now,
       failed_at = CASE WHEN :failed THEN coalesce(failed_at, :now) ELSE failed_at END
WHERE id = :id AND state = 'leased' AND worker = :worker;

-- park --
UPDATE job SET state = 'parked', worker = NULL, lease_until = NULL, attempts = attempts + 1, reason = :reason,
       hint = :hint, changed_at = :now, failed_at = coalesce(failed_at, :now)
WHERE id = :id AND state = 'leased' AND worker = :worker;

-- expire --
UPDATE job SET state = 'ready', worker = NULL, lease_until = NULL, deaths = deaths + 1, reason = 'worker-died',
       changed_at = :now
WHERE state = 'leased' AND lease_until < :now;

-- release_all --
UPDATE job SET state = 'ready', worker = NULL, lease_until = NULL, changed_at = :now WHERE state = 'leased';

-- close_instances --
-- Nothing is left to do for an instance when all its jobs are done or dropped, and at least one is done.
UPDATE instance SET finished_at = :now, purged_at = CASE WHEN :keep THEN NULL ELSE :now END
WHERE finished_at IS NULL AND id IN (SELECT value FROM json_each(:ids))
  AND NOT EXISTS (SELECT 1 FROM job WHERE job.instance_id = instance.id AND job.state NOT IN ('done', 'dropped'))
RETURNING incoming, outgoing;

-- forget_dropped --
-- A dropped instance must not make a later arrival look known.
DELETE FROM instance
WHERE finished_at IS NOT NULL AND id IN (SELECT value FROM json_each(:ids))
  AND EXISTS (SELECT 1 FROM job WHERE job.instance_id = instance.id AND job.state = 'dropped')
RETURNING incoming, outgoing;

-- kept --
SELECT id, incoming, outgoing, finished_at FROM instance
WHERE finished_at IS NOT NULL AND purged_at IS NULL ORDER BY finished_at;

-- purge --
UPDATE instance SET purged_at = :now
WHERE finished_at IS NOT NULL AND purged_at IS NULL AND id IN (SELECT value FROM json_each(:ids))
RETURNING incoming, outgoing;

-- forget_finished --
DELETE FROM instance WHERE id IN (
    SELECT id FROM instance WHERE finished_at IS NOT NULL AND finished_at < :before AND purged_at IS NOT NULL LIMIT 1000);

-- files --
SELECT incoming, outgoing FROM instance WHERE purged_at IS NULL;

-- depth --
SELECT step, destination, state, count(*) AS jobs, min(changed_at) AS oldest FROM job
WHERE state NOT IN ('done', 'dropped') GROUP BY step, destination, state;

-- list --
SELECT job.id FROM job JOIN instance ON instance.id = job.instance_id
WHERE (:state IS NULL AND job.state NOT IN ('done', 'dropped') OR job.state = :state)
  AND (:destination IS NULL OR job.destination = :destination)
  AND (:pseudonym IS NULL OR job.pseudonym = :pseudonym)
  AND (:study IS NULL OR instance.study = :study)
  AND (:since IS NULL OR instance.received_at >= :since)
  AND (:until IS NULL OR instance.received_at < :until)
ORDER BY job.id LIMIT :limit;

-- instances_of --
SELECT DISTINCT instance_id FROM job WHERE id IN (SELECT value FROM json_each(:ids));

-- people_retry --
UPDATE job SET state = 'ready', attempts = 0, deaths = 0, not_before = 0, failed_at = NULL, changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('parked', 'ready')
RETURNING id;

-- people_resend --
-- Deliveries that a newer version follows or followed are left alone.
UPDATE job SET state = 'ready', attempts = 0, deaths = 0, not_before = 0, failed_at = NULL, changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND step = 'deliver' AND state = 'done'
  AND EXISTS (SELECT 1 FROM instance WHERE instance.id = job.instance_id AND instance.purged_at IS NULL)
  AND NOT EXISTS (
    SELECT 1 FROM job AS newer
    WHERE newer.pseudonym = job.pseudonym AND newer.destination = job.destination AND newer.step = 'deliver'
      AND newer.instance_id > job.instance_id AND newer.state != 'dropped')
RETURNING id, instance_id;

-- reopen_instances --
UPDATE instance SET finished_at = NULL WHERE id IN (SELECT value FROM json_each(:ids)) AND purged_at IS NULL;

-- people_hold --
UPDATE job SET state = 'held', changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('ready', 'waiting', 'parked')
RETURNING id;

-- people_release --
-- A delivery whose object is not prepared yet waits for that again.
UPDATE job SET not_before = 0, changed_at = :now, state = CASE
    WHEN step = 'deliver' AND EXISTS (
        SELECT 1 FROM job AS preparing WHERE preparing.instance_id = job.instance_id
          AND preparing.step = 'prepare' AND preparing.state != 'done') THEN 'waiting'
    ELSE 'ready' END
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'held'
RETURNING id;

-- people_pass_on --
-- What is to be released never goes on as it was received: its pixels may still carry the patient.
UPDATE job SET state = 'done', reason = NULL, hint = NULL, changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND step = 'prepare' AND state = 'parked'
  AND instance_id NOT IN (SELECT id FROM instance WHERE action = 'release')
RETURNING id, instance_id;

-- people_drop --
UPDATE job SET state = 'dropped', changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('ready', 'waiting', 'parked', 'held')
RETURNING id;

-- drop_waiting --
-- An instance that can never be prepared can never be delivered.
UPDATE job SET state = 'dropped', changed_at = :now
WHERE step = 'deliver' AND state IN ('waiting', 'held') AND instance_id IN (
    SELECT instance_id FROM job WHERE step = 'prepare' AND state = 'dropped'
      AND instance_id IN (SELECT value FROM json_each(:ids)));

-- commitment_known --
SELECT id FROM commitment WHERE transaction_uid = :transaction_uid AND calling = :calling;

-- commitment_insert --
INSERT INTO commitment (transaction_uid, calling, called, requested_at)
VALUES (:transaction_uid, :calling, :called, :now)
RETURNING id;

-- commitment_add_items --
INSERT INTO commitment_item (commitment_id, sop_class, sop_instance, pseudonym)
SELECT :id, value ->> 0, value ->> 1, value ->> 2 FROM json_each(:items);

-- commitment_due --
SELECT id, transaction_uid, calling, called, requested_at, attempts FROM commitment
WHERE ended_at IS NULL AND not_before <= :now ORDER BY not_before, id LIMIT :limit;

-- commitment_standings --
-- Of each referenced instance, by the newest version that came on each route. A delivery counts when its destination has
-- the object, or the one that stands in for it, or a newer version.
SELECT item.sop_class, item.sop_instance, CASE
    WHEN NOT EXISTS (SELECT 1 FROM instance WHERE instance.pseudonym = item.pseudonym) THEN 'unknown'
    WHEN EXISTS (
        SELECT 1 FROM job WHERE job.step = 'deliver' AND job.instead_of IS NULL
          AND job.state NOT IN ('done', 'dropped') AND job.instance_id IN (
              SELECT max(id) FROM instance WHERE instance.pseudonym = item.pseudonym GROUP BY route_key)
          AND NOT EXISTS (
              SELECT 1 FROM job AS other WHERE other.instance_id = job.instance_id
                AND other.instead_of = job.destination AND other.state = 'done')) THEN 'open'
    WHEN EXISTS (
        SELECT 1 FROM job WHERE job.step = 'deliver' AND job.instead_of IS NULL
          AND job.state = 'dropped' AND job.reason IS NOT 'superseded' AND job.instance_id IN (
              SELECT max(id) FROM instance WHERE instance.pseudonym = item.pseudonym GROUP BY route_key)) THEN 'given up'
    ELSE 'accepted' END AS standing
FROM commitment_item AS item WHERE item.commitment_id = :id ORDER BY item.id;

-- commitment_held --
-- What each destination got of the referenced instances.
SELECT DISTINCT job.destination, item.sop_class, item.sop_instance FROM commitment_item AS item
JOIN instance ON instance.pseudonym = item.pseudonym
JOIN job ON job.instance_id = instance.id AND job.step = 'deliver' AND job.state = 'done'
WHERE item.commitment_id = :id ORDER BY job.destination, item.id;

-- commitment_later --
UPDATE commitment SET not_before = :not_before, attempts = attempts + :attempted WHERE id = :id AND ended_at IS NULL;

-- commitment_end --
UPDATE commitment SET ended_at = :now, ending = :ending WHERE id = :id AND ended_at IS NULL;

-- commitment_count --
SELECT count(*) AS open FROM commitment WHERE ended_at IS NULL;

-- commitment_forget --
DELETE FROM commitment WHERE ended_at IS NOT NULL AND ended_at < :before;
