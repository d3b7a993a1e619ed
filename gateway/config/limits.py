"""The `[limits]` table: how much, how many, how long."""

from __future__ import annotations

from pydantic import (
    Field,
)

from gateway.config.values import (
    Seconds,
    Table,
)


class Limits(Table):
    associations: int = Field(default=64, ge=1, le=10_000)  # two threads each
    associations_per_peer: int = Field(default=16, ge=1, le=10_000)  # from one address
    pdu_bytes: int = Field(default=128 << 10, ge=4 << 10, le=16 << 20)
    acse_timeout_s: Seconds = 30.0
    dimse_timeout_s: Seconds = 60.0  # of an answer, after the last byte; one second more for each 10 MB
    network_timeout_s: Seconds = 60.0  # without a complete PDU an association is ended
    connect_timeout_s: Seconds = 10.0
    send_bytes_s_min: int = Field(
        default=20_000, ge=1
    )  # a destination that takes less gets the object another time
    idle_release_s: Seconds = 10.0  # an outgoing association without work is released
    free_bytes_min: int = Field(default=512 << 20, ge=0)  # below it C-STORE answers A700
    drain_s: Seconds = 30.0  # after SIGTERM
    seal_timeout_s: Seconds = 900.0  # of one object, then its worker is ended
    worker_memory_bytes: int = Field(default=4 << 30, ge=512 << 20)  # data of one worker process
