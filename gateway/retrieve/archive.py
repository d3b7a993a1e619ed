"""Associations to the archive that the configuration names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from gateway.config import Config
from gateway.config.destinations import Destination
from gateway.config.retrieve import RetrieveSettings
from gateway.dicom.elements import Encoding
from gateway.dicom.syntaxes import syntax_of
from gateway.dimse.query_scu import QueryScu
from gateway.dimse.requestor import UNCOMPRESSED, ContextOffer, Requestor
from gateway.dimse.terms import MEMORY_BYTES_MAX, MemoryBudget
from gateway.errors import PeerUnreachable, UsageError
from gateway.spool import Spool


class NoWayBack(UsageError):
    """There is no [retrieve] any more; the association was opened before a reload."""

    code = "no-retrieve"
    hint = "Add [retrieve]."


class Archive:
    """For several threads."""

    def __init__(self, config: Callable[[], Config], *, spool: Spool, gateway_id: str = "") -> None:
        """config: the configuration in force, asked for each association.

        spool: for objects while they arrive.
        """
        self._config, self._spool, self._gateway_id = config, spool, gateway_id
        self._memory = MemoryBudget(MEMORY_BYTES_MAX)

    def settings(self) -> tuple[RetrieveSettings, Destination]:
        """Raises NoWayBack."""
        config = self._config()
        archive = config.archive
        if config.retrieve is None or archive is None:
            raise NoWayBack("there is no [retrieve]")
        return config.retrieve, archive

    @contextmanager
    def associated(
        self,
        contexts: list[ContextOffer],
        *,
        as_scp: tuple[str, ...] = (),
        extended: Mapping[str, bytes] | None = None,
    ) -> Iterator[QueryScu]:
        """An association that is released at the end, and aborted after an error.

        contexts, as_scp, extended: see Requestor.open.

        Raises PeerUnreachable, DeliveryLoop, KeyFileError, NoWayBack.
        """
        config = self._config()
        _, destination = self.settings()
        requestor = Requestor(
            destination, config.limits, calling=config.listener.ae_title, gateway_id=self._gateway_id
        )
        scu = QueryScu(requestor, spool=self._spool, memory=self._memory)
        try:
            scu.open(contexts, as_scp=as_scp, extended=extended)
            yield scu
        except BaseException:
            scu.abort()
            raise
        scu.close()


def query_contexts(*sop_classes: str) -> list[ContextOffer]:
    """Each class in each uncompressed transfer syntax."""
    return [(sop_class, syntax) for sop_class in sop_classes for syntax in UNCOMPRESSED]


def accepted_query(scu: QueryScu, sop_class: str, *, like: str = "") -> tuple[ContextOffer, Encoding]:
    """The context for a SOP class, and the encoding of its identifiers.

    like: a transfer syntax that is taken before others.
    Raises PeerUnreachable when the archive did not accept the class.
    """
    for syntax in (like, *UNCOMPRESSED):
        if (sop_class, syntax) in scu.accepted:
            return (sop_class, syntax), syntax_of(syntax).encoding
    raise PeerUnreachable(
        "the archive does not accept this kind of query", hint="Allow our AE title to query there."
    )
