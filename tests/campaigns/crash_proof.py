"""What must hold after any number of crashes: everything acknowledged is in the PACS once, right, or parked."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from blake3 import blake3

from gateway import keys
from gateway.dicom.part10 import read
from gateway.ledger.entry import LedgerEntry
from gateway.ledger.folder import LedgerFolder
from gateway.observe.pseudonyms import Pseudonyms
from gateway.seal.codec import Codec
from gateway.seal.restoring import restore
from gateway.seal.verifying import Verdict, verify
from gateway.work.ledger_entries import version_of
from tests.campaigns.crash_plant import Plant, called, original
from tests.support.gateway import RunningGateway
from tests.support.modality import parcel


@dataclass
class Findings:
    """problems: one line for each object that is not as it must be; empty is the proof."""

    delivered: int = 0
    parked: dict[str, int] = field(default_factory=dict)
    came_again: int = 0  # arrivals at the second destination beyond the first of each object
    problems: list[str] = field(default_factory=list)


def parked(gateway: RunningGateway) -> dict[str, str]:
    """Pseudonym -> reason, as `sealgate queue list` shows it to people."""
    command = [gateway.python, "-m", "gateway.commands.main", "queue", "list", "--state", "parked", "--json"]
    listed = subprocess.run(
        [*command, "--limit", "100000", "--config", str(gateway.config)],
        capture_output=True,
        check=True,
        timeout=240,
    )
    jobs = [json.loads(line) for line in listed.stdout.splitlines()]
    return {job["instance"]: job["reason"] for job in jobs}


def examined(plant: Plant, numbers: Iterable[int], seed: int, codec: Codec) -> Findings:
    """Compare what the modality was told, what the PACS holds, what arrived elsewhere and what is parked."""
    found = Findings()
    gateway = plant.gateway
    waits = parked(gateway)
    pseudonyms = Pseudonyms.load(gateway.folder / "data")
    stored: dict[str, bytes] = {}
    for instance in plant.orthanc.files():
        uid = parcel(instance, fallback_uid="").sop_instance
        if uid in stored:
            found.problems.append(f"{uid}: twice in the PACS")
        stored[uid] = instance
    arrivals = plant.witness.arrivals()
    proof = _Proof(gateway, codec)
    gateway.until_metric("sealgate_ledger_unwritten", 0)
    ledger = LedgerFolder(gateway.folder / "data" / "ledger")
    logged = Counter(
        LedgerEntry.decode(entry).statement for entry in ledger.entries(stop=ledger.open_bundle().end)
    )
    for number in numbers:
        sent = parcel(original(number, seed), fallback_uid="")
        uid = sent.sop_instance
        reason = waits.get(pseudonyms.of(uid))
        if reason is not None:
            found.parked[reason] = found.parked.get(reason, 0) + 1
            stored.pop(uid, None)
            continue
        file, digests = stored.pop(uid, None), arrivals.get(uid, [])
        if file is None or not digests:
            found.problems.append(f"{number}: acknowledged, but missing")
            continue
        found.delivered += 1
        found.came_again += len(digests) - 1
        if len(set(digests)) > 1:
            found.problems.append(f"{number}: came again with other bytes")
        received = parcel(file, fallback_uid="").dataset
        if blake3(received).hexdigest() != digests[0]:
            found.problems.append(f"{number}: the destinations hold different bytes")
        version = version_of(read(file))
        if logged[version or b""] != (version is not None):
            found.problems.append(f"{number}: {logged[version or b'']} times in the ledger")
        problem = proof.problem(file, sent.dataset, passed=called(number) == "PASS")
        if problem:
            found.problems.append(f"{number}: {problem}")
    found.problems += [f"{uid}: in the PACS, but never sent" for uid in stored]
    return found


class _Proof:
    def __init__(self, gateway: RunningGateway, codec: Codec) -> None:
        self._trusted = keys.load_trusted_signers(gateway.keys / "signer.pub")
        self._recipient = keys.load_recipient_key(gateway.keys / "recipient.key")
        self._codec = codec
        self.verdicts: Counter[str] = Counter()

    def problem(self, file: bytes, sent: bytes, *, passed: bool) -> str | None:
        """What is wrong with a delivered file, given the data set that the modality sent."""
        if passed:
            return None if parcel(file, fallback_uid="").dataset == sent else "not the bytes that were sent"
        report = verify(file, trusted=self._trusted, recipient_key=None, codec=self._codec)
        if report.verdict is not Verdict.INTACT:
            return f"verified as {report.verdict}"
        restored, _ = restore(file, recipient_key=self._recipient, codec=self._codec)
        if restored is None or parcel(restored, fallback_uid="").dataset != sent:
            return "does not restore to what was sent"
        return None
