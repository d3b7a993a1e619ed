"""What goes wrong every day, done on purpose: broken peers, broken objects, a destination that goes away."""

from __future__ import annotations

import random
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from pynetdicom import AE

from gateway.commands.demo.dcmtk import echoscu
from tests.campaigns.faults_gateway import queue
from tests.support.gateway import RunningGateway
from tests.support.modality import Parcel, parcel, send
from tests.support.objects import ct, uid
from tests.support.storing_peer import CT, PLAIN
from tests.support.witness import Witness


class Errors:
    """One forced error after the other; `every` names them all."""

    def __init__(self, gateway: RunningGateway, witness: Witness, *, seed: int) -> None:
        self._gateway, self._witness = gateway, witness
        self._draw = random.Random(seed)
        self._number = 0
        self._silent: list[socket.socket] = []
        self.every: dict[str, Callable[[], None]] = {
            "garbage instead of a PDU": self._garbage,
            "silent connection": self._silence,
            "abort inside an object": self._abort,
            "association released without an object": self._nothing,
            "truncated object": self._truncated,
            "random bytes as an object": self._noise,
            "unknown called AE title": self._stranger,
            "destination gone": self._destination_gone,
            "reload (SIGHUP)": self._reload,
            "parked jobs dropped by a person": self.drop_parked,
        }

    def close(self) -> None:
        for connection in self._silent:
            connection.close()
        self._silent.clear()

    def _connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._gateway.dicom_port), timeout=60)

    def _garbage(self) -> None:
        with self._connection() as peer:
            peer.sendall(self._draw.randbytes(200))
            with suppress(OSError):
                peer.recv(100)

    def _silence(self) -> None:
        """Left open: the gateway is to end it. Only the last few are remembered here."""
        self._silent.append(self._connection())
        if len(self._silent) > 3:
            self._silent.pop(0).close()

    def _abort(self) -> None:
        entity = AE(ae_title="MODALITY")
        entity.add_requested_context(CT, PLAIN[0])
        association = entity.associate("127.0.0.1", self._gateway.dicom_port, ae_title="SEALGATE")
        if not association.is_established:
            return
        # A P-DATA-TF whose fragment is not the last one: the object never ends.
        fragment = bytes([association.accepted_contexts[0].context_id or 1, 0]) + self._draw.randbytes(2000)
        item = struct.pack(">I", len(fragment)) + fragment
        peer = association.dul.socket
        if peer is not None and peer.socket is not None:
            peer.socket.sendall(struct.pack(">BBI", 4, 0, len(item)) + item)
        association.abort()

    def _nothing(self) -> None:
        assert echoscu(self._gateway.dicom_port), "no answer to an honest C-ECHO"

    def _broken(self, dataset: bytes) -> None:
        self._number += 1
        send([Parcel(CT, uid("broken", self._number), PLAIN[0], dataset)], self._gateway.dicom_port)

    def _truncated(self) -> None:
        whole = parcel(ct(rows=64, columns=64, seed=self._number), fallback_uid="").dataset
        self._broken(whole[: self._draw.randrange(len(whole) // 4, len(whole))])

    def _noise(self) -> None:
        self._broken(self._draw.randbytes(500))

    def _stranger(self) -> None:
        entity = AE(ae_title="STRANGER")
        entity.add_requested_context(CT, PLAIN[0])
        association = entity.associate("127.0.0.1", self._gateway.dicom_port, ae_title="NOBODY")
        if association.is_established:
            association.release()

    def _destination_gone(self) -> None:
        self._witness.__exit__(None, None, None)
        time.sleep(1)
        self._witness.__enter__()

    def _reload(self) -> None:
        assert self._gateway.process is not None
        self._gateway.process.send_signal(signal.SIGHUP)

    def drop_parked(self) -> None:
        queue(self._gateway, "drop", "--state", "parked")
