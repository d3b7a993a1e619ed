"""The `[limits]` table: how much, how many, how long."""

from __future__ import annotations

from pydantic import Field

from gateway.config.values import Seconds, Table


class Limits(Table):
    # Incoming associations at once; two threads each.
    associations: int = Field(default=64, ge=1, le=10_000)
    # Of them from one address.
    associations_per_peer: int = Field(default=16, ge=1, le=10_000)
    # The largest PDU that we accept.
    pdu_bytes: int = Field(default=128 << 10, ge=4 << 10, le=16 << 20)
    # For each step of opening or releasing an association.
    acse_timeout_s: Seconds = 30.0
    # For the answer to a message, after its last byte; one second more for each 10 MB.
    dimse_timeout_s: Seconds = 60.0
    # Without a complete PDU for so long, an association is ended.
    network_timeout_s: Seconds = 60.0
    # For a connection to a destination.
    connect_timeout_s: Seconds = 10.0
    # A destination that takes fewer bytes a second gets the object another time.
    send_bytes_s_min: int = Field(default=20_000, ge=1)
    # An outgoing association without work is released after that.
    idle_release_s: Seconds = 10.0
    # With less room on the disk of the spool, C-STORE answers A700.
    free_bytes_min: int = Field(default=512 << 20, ge=0)
    # For work in hand, after SIGTERM.
    drain_s: Seconds = 30.0
    # For one object; then its worker process is ended.
    seal_timeout_s: Seconds = 900.0
    # Data of one worker process.
    worker_memory_bytes: int = Field(default=4 << 30, ge=512 << 20)
