"""Sealgate: a DICOM gateway that seals images on their way to the PACS and verifies them on the way back.

The way of an instance through the modules:

1.  `gateway.commands.serve` reads the configuration (`gateway.config`) and starts `gateway.service`.
2.  A modality asks for an association. `gateway.dimse.admission` decides whether it may have one.
3.  A C-STORE request arrives. `gateway.dimse.incoming` takes the data set, a large one straight to the disk.
4.  `gateway.receive` chooses the route. A SOP instance whose bytes are known on this route is acknowledged at once.
5.  `gateway.spool` keeps the bytes, durable and under a name that contains their digest.
6.  `gateway.queue` takes one job to prepare the object, and one job for each destination.
7.  Now the modality gets its answer: success means that spool and queue hold the object for good.
8.  `gateway.work.preparer` claims the job to prepare, and hands it to a worker process (`gateway.work.worker`).
9.  The worker seals: `gateway.seal.eligibility` says which level the object may get. For level full the patient's
    identity (`gateway.seal.record`) is encrypted and hidden in the pixels (`gateway.seal.codec`), and what undoes that
    (`gateway.seal.undo`) is encrypted as well. Digests and the signed statement go into the private block
    (`gateway.seal.block`). Before the object leaves, its seal is opened and its original restored once.
    Or the worker does what the route says instead: it verifies (`gateway.seal.verifying`) or restores
    (`gateway.seal.restoring`).
10. What fails for good goes to `gateway.spool.quarantine`, and its job is parked until a person decides.
11. `gateway.work.deliverer` claims the jobs of one destination and sends the bytes with `gateway.dimse.store_scu`.
12. When every destination has the object, its files leave the spool; the queue remembers that it was delivered.
13. `gateway.commitment` tells a modality that asked for it that everything has arrived.

Beside that way, `gateway.web` answers over HTTP and `gateway.observe` writes logs, metrics and the audit log.
docs/architecture.md has the drawing, the threads and the files.
"""

__version__ = "0.1.0"
