"""One object per association, as many modalities send: the gateway beside Orthanc and DCMTK's storescp.

    python -m tests.benchmarks.associations [--count 200]

The sender is a bare socket that proposes a single presentation context and sends a 64x64x16-bit slice, release
included, so that nearly all of the time is the receiver's. The gateway and Orthanc answer after an fsync; storescp
writes without one. Prints Markdown, as kept in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import socket
import struct
import tempfile
import time
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE

from tests.support import objects
from tests.support.dcmtk import Storescp
from tests.support.gateway import Node, Route, RunningGateway
from tests.support.modality import Parcel, parcel
from tests.support.orthanc import Orthanc

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 annex A
PDU_BYTES = 64 << 10
RELEASE_RQ = struct.pack(">BxI4x", 5, 4)  # PS3.8 9.3.6


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def associate_rq(sop_class: str, called: str) -> bytes:
    """PS3.8 9.3.2: one presentation context, explicit VR little endian."""
    context = bytes([1, 0, 0, 0]) + item(0x30, sop_class.encode())
    context += item(0x40, ExplicitVRLittleEndian.encode())
    user = item(0x51, struct.pack(">I", PDU_BYTES)) + item(0x52, b"2.25.3")
    body = struct.pack(">H2x16s16s32x", 1, called.ljust(16).encode(), b"BENCH".ljust(16))
    body += item(0x10, APPLICATION_CONTEXT.encode()) + item(0x20, context) + item(0x50, user)
    return struct.pack(">BxI", 1, len(body)) + body


def store_pdus(one: Parcel) -> bytes:
    """The P-DATA-TF PDUs of one C-STORE request (PS3.7 9.3.1)."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = one.sop_class, one.sop_instance
    request.Priority = 2
    message = C_STORE_RQ()
    request.DataSet = io.BytesIO(one.dataset)
    message.primitive_to_message(request)
    pdus = b""
    for primitive in message.encode_msg(1, PDU_BYTES):
        ((context, fragment),) = primitive.presentation_data_value_list
        value = struct.pack(">IB", len(fragment) + 1, context) + fragment
        pdus += struct.pack(">BxI", 4, len(value)) + value
    return pdus


def receive_pdu(peer: socket.socket) -> tuple[int, bytes]:
    head = receive(peer, 6)
    kind, length = struct.unpack(">BxI", head)
    return kind, receive(peer, length)


def receive(peer: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = peer.recv(count - len(content))
        if not piece:
            raise ConnectionError("the peer hung up")
        content += piece
    return content


def send_alone(port: int, called: str, sop_class: str, pdus: bytes) -> None:
    """One association with one object. Raises ConnectionError, AssertionError when it is not accepted."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(associate_rq(sop_class, called))
        kind, _ = receive_pdu(peer)
        assert kind == 2, f"not accepted: PDU {kind}"
        peer.sendall(pdus)
        kind, answer = receive_pdu(peer)
        assert kind == 4 and b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" in answer, (
            "not stored"
        )  # (0000,0900) 0
        peer.sendall(RELEASE_RQ)
        kind, _ = receive_pdu(peer)
        assert kind == 6, f"not released: PDU {kind}"


def rate(port: int, called: str, parcels: list[Parcel]) -> float:
    """Associations per second, each with one object; the first few only warm up."""
    ready = [(one.sop_class, store_pdus(one)) for one in parcels]
    for sop_class, pdus in ready[:10]:
        send_alone(port, called, sop_class, pdus)
    began = time.perf_counter()
    for sop_class, pdus in ready[10:]:
        send_alone(port, called, sop_class, pdus)
    return (len(ready) - 10) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="associations with each receiver")
    count = parser.parse_args().count
    files = [objects.ct(rows=64, columns=64, seed=number, number=number + 1) for number in range(count + 10)]
    parcels = [parcel(data, fallback_uid="2.25.4") for data in files]
    with tempfile.TemporaryDirectory(prefix="sealgate-bench-") as name:
        folder = Path(name)
        found = {}
        with Storescp(folder / "storescp") as storescp:
            found["storescp, no fsync"] = rate(storescp.port, storescp.ae_title, parcels)
        with Orthanc(folder / "orthanc", settings={"SyncStorageArea": True}) as orthanc:
            found["Orthanc"] = rate(orthanc.dicom_port, orthanc.ae_title, parcels)
        with Storescp(folder / "target") as target:
            nodes = [Node(name="target", ae_title=target.ae_title, port=target.port)]
            routes = [Route(called="SEALGATE", action="seal", to=("target",))]
            gateway = RunningGateway(
                folder / "gateway", nodes=nodes, routes=routes, extra='[seal]\nprofile = "fidelity"'
            )
            with gateway:
                found["gateway, which seals and forwards at the same time"] = rate(
                    gateway.dicom_port, "SEALGATE", parcels
                )
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {count} associations with one object each\n")
    print("| receiver | associations/s | ratio to Orthanc |\n|---|---|---|")
    for receiver, value in found.items():
        print(f"| {receiver} | {value:.0f} | {value / found['Orthanc']:.2f} |")


if __name__ == "__main__":
    main()
