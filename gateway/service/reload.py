"""The configuration read again (SIGHUP) while the gateway runs."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config import Config, load
from gateway.errors import ConfigurationError, KeyFileError
from gateway.service.assembly import Parts
from gateway.service.threads import WorkerThreads
from gateway.web.server import WebServer

# Tables of which nothing changes before a restart.
FIXED = ("gateway", "listener")


def merged(running: Config, fresh: Config) -> tuple[Config, list[str]]:
    """The configuration that a running gateway can adopt, and the tables whose changes need a restart.

    Addresses, data_dir and the listener's limits stay as they are.
    """
    needs_restart = [table for table in FIXED if getattr(fresh, table) != getattr(running, table)]
    if (fresh.tls.port, fresh.tls.plain) != (running.tls.port, running.tls.plain):
        needs_restart.append("tls")
    if fresh.viewer != running.viewer:
        needs_restart.append("viewer")
    http = fresh.http.kept_open(running.http)
    if http != fresh.http:
        needs_restart.append("http")
    kept = {table: getattr(running, table) for table in FIXED} | {"http": http, "viewer": running.viewer}
    return fresh.model_copy(update=kept), needs_restart


def reload(parts: Parts, threads: WorkerThreads, servers: Sequence[WebServer]) -> None:
    """Put the changed file in force, and log what became of it.

    A wrong file changes nothing. Neither does a file with which no worker process starts, while those of the old one
    run.
    """
    log, in_force = parts.log, parts.in_force
    source = in_force.config.source
    if source is None:
        log.error("not reloaded", problem="the configuration did not come from a file")
        return
    try:
        fresh = load(source)
        parts.certificates.reload(fresh)
        for web in servers:
            web.renew()
    except (ConfigurationError, KeyFileError) as error:
        log.error("not reloaded", code=error.code, problem=str(error), hint=error.hint)
        return
    previous, worked = in_force.config, not threads.troubles()
    in_force.config, needs_restart = merged(previous, fresh)
    threads.stop()
    trouble = threads.start_processes()
    if trouble is not None and worked:
        log.error("not reloaded", code=trouble.code, problem=str(trouble), hint=trouble.hint)
        in_force.config = previous
        threads.abandon_processes()
        threads.start_processes()
        threads.start()
        return
    threads.start()
    in_force.renew_on_demand()
    log.info("reloaded", needs_restart=needs_restart)
