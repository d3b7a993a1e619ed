"""The `[[destination]]` tables: where objects are sent, and how."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from gateway.config.hours import checked_hours
from gateway.config.limits import Limits
from gateway.config.retrieve import Policy
from gateway.config.tls import ClientTlsSettings
from gateway.config.values import AETitle, Seconds, Table, one_or_many


class Destination(Table):
    """One DICOM peer that objects are sent to."""

    # What routes, logs and metrics call it.
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Annotated[int, Field(ge=1, le=65535)]
    # What we call ourselves; None: the listener's title.
    calling_ae_title: AETitle | None = None
    # In parallel, kept open; more than one only while there is a backlog.
    associations: int = Field(default=2, ge=1, le=64)
    # Attempts for one object, and the seconds between them; None: as in [queue].
    attempts: int | None = Field(default=None, ge=1, le=1000)
    backoff_s: Seconds | None = None
    backoff_max_s: Seconds | None = None
    # Of all its associations together; None: no limit.
    bandwidth_bytes_s: int | None = Field(default=None, ge=1000)
    # Local time; outside these hours nothing is sent. Empty: all day.
    hours: tuple[Annotated[str, AfterValidator(checked_hours)], ...] = ()
    # The destination that also gets what this one does not take.
    failover: str | None = None
    # How long this one may take before that.
    failover_after_s: Seconds = 600.0
    # true: TLS with the system's authorities. false or None: no TLS.
    tls: ClientTlsSettings | None = None
    # Storage commitment waits until this archive has committed as well.
    commitment: bool = False
    # What verdicts do to objects that are retrieved for it, where it is another than in [retrieve].
    policy: Policy = Field(default_factory=dict)

    _many_hours = field_validator("hours", mode="before")(one_or_many)

    @field_validator("tls", mode="before")
    @classmethod
    def _true_or_table(cls, value: object) -> object:
        return {True: {}, False: None}[value] if isinstance(value, bool) else value

    def slowest_bytes_s(self, limits: Limits) -> float:
        """The rate below which one association is given up; lower where several share a bandwidth."""
        if self.bandwidth_bytes_s is None:
            return limits.send_bytes_s_min
        return min(limits.send_bytes_s_min, self.bandwidth_bytes_s / self.associations / 2)
