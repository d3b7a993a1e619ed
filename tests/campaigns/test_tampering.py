"""What people do to sealed objects is found. `python -m tests.campaigns.tampering` writes docs/tampering.md."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.errors import ResourceError
from gateway.seal.codec import Codec
from gateway.seal.findings import Verdict
from tests.campaigns.tampering import kinds, signature
from tests.campaigns.tampering.change import GOOD, NOT_GOOD, Change, Way
from tests.campaigns.tampering.report import document, recorded
from tests.campaigns.tampering.running import Row, Subject, Workbench, changed, run
from tests.campaigns.tampering.table import CHANGES, HARMLESS
from tests.support import objects
from tests.support.data import REPOSITORY
from tests.support.orthanc import Orthanc

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

# Version 1 covers the identity and the pixels; what else is in the table is found since format version 2.
SIGNED_HEADER = find_spec("gateway.seal.header") is not None
COVERED_BEFORE = ("identity", "pixels", "seal")
MISSED_BEFORE = ("patient-other-ids",)
# Changes that no object can be told from: somebody must remember which version counts.
NEVER_FOUND = ("replay",)
PAGE = REPOSITORY / "docs" / "tampering.md"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, codec: Codec, orthanc_server: Orthanc) -> Workbench:
    return Workbench.build(tmp_path_factory.mktemp("tampering"), codec, orthanc_server)


@pytest.fixture(scope="module")
def rows(bench: Workbench) -> dict[str, Row]:
    """Each change done to the first object of each level that it applies to."""
    done = run((*CHANGES, *HARMLESS), kinds.synthetic(), bench, once_a_level=True)
    return {row.change.name: row for row in done}


def test_there_are_many_kinds_of_changes_each_with_a_name_of_its_own() -> None:
    names = [change.name for change in (*CHANGES, *HARMLESS)]
    assert len(set(names)) == len(names)
    assert len(CHANGES) > 150


@pytest.mark.parametrize("change", (*CHANGES, *HARMLESS), ids=lambda change: change.name)
def test_every_change_really_changes_what_it_says(rows: dict[str, Row], change: Change) -> None:
    """`changed` asks the proof, which reads the file again with another tool than the one that wrote it."""
    row = rows[change.name]
    assert row.failed == {}
    assert row.findings, "no object that is built here can be changed in this way"


@pytest.mark.parametrize(
    "change",
    [change for change in CHANGES if SIGNED_HEADER or change.group in COVERED_BEFORE],
    ids=lambda change: change.name,
)
def test_every_change_is_found_and_named(rows: dict[str, Row], change: Change) -> None:
    for finding in rows[change.name].findings:
        assert finding.verdict in {str(verdict) for verdict in Verdict}
        if change.name in NEVER_FOUND:
            assert finding.good
        elif SIGNED_HEADER or change.name not in MISSED_BEFORE:
            assert finding.found, f"{finding.kind}: {finding.verdict}; {finding.said}"
            assert finding.expected, f"{finding.kind}: {finding.verdict} instead of {change.expected}"


@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.name)
def test_what_archives_do_every_day_raises_no_alarm(rows: dict[str, Row], change: Change) -> None:
    for finding in rows[change.name].findings:
        # Version 1 covers every element of an object without pixels.
        if SIGNED_HEADER or finding.level == "full":
            assert finding.good, f"{finding.kind}: {finding.verdict}; {finding.said}"


def test_expectations_are_words_that_exist_or_are_coming() -> None:
    coming = {"altered", "amended"}
    words = {word for change in (*CHANGES, *HARMLESS) for word in change.expected}
    assert words - coming <= {str(verdict) for verdict in Verdict}
    assert {change.expected for change in HARMLESS} == {GOOD}
    assert not set(GOOD) & set(NOT_GOOD)


def test_the_checksum_of_an_archive_tells_an_edited_file_and_not_its_own_modification(
    bench: Workbench, tmp_path: Path
) -> None:
    """The rule of the column MD5, shown with Orthanc: it counts anew what comes by its own ways."""
    subject = Subject("ct", objects.ct(rows=96, columns=96, seed=61), bench)
    change = next(change for change in CHANGES if change.name == "patient-swap-in-archive")
    assert change.way is Way.ARCHIVE
    modified = changed(change, subject).read_bytes()
    # Without the copy in memory, from which Orthanc would answer otherwise.
    with Orthanc(tmp_path / "orthanc", settings={"MaximumStorageCacheSize": 0}) as orthanc:
        orthanc.upload(modified)
        (identifier,) = orthanc.instances()
        checking = f"/instances/{identifier}/attachments/dicom/verify-md5"
        orthanc.request("POST", checking, b"")
        _stored(orthanc, modified).write_bytes(modified.replace(b"SWAPPED-1", b"SWAPPED-2"))
        with pytest.raises(ResourceError):
            orthanc.request("POST", checking, b"")


def _stored(orthanc: Orthanc, data: bytes) -> Path:
    """The file in which Orthanc keeps an object."""
    wanted = hashlib.sha256(data).digest()
    files = [path for path in (orthanc.folder / "db").rglob("*") if path.is_file()]
    return next(path for path in files if hashlib.sha256(path.read_bytes()).digest() == wanted)


def test_a_signature_after_the_creator_profile_covers_pixels_and_no_patient(bench: Workbench) -> None:
    subject = Subject("ct", kinds.synthetic()["ct"], bench)
    by_name = {change.name: change for change in CHANGES}
    told = {
        name: signature.breaks(subject.scene.source, changed(by_name[name], subject))
        for name in ("one-bit", "instance-uid", "patient-id", "window-width", "image-position")
    }
    assert told == {
        "one-bit": True, "instance-uid": True, "patient-id": False, "window-width": False, "image-position": False,
    }  # fmt: skip


def test_the_page_has_a_row_for_every_change(rows: dict[str, Row]) -> None:
    page = document([rows[change.name] for change in CHANGES], [rows[change.name] for change in HARMLESS])
    for written in (page, PAGE.read_text()):
        missing = [change.name for change in (*CHANGES, *HARMLESS) if f"\n| {change.name} | " not in written]
        assert missing == []
    assert '"patient-id"' in recorded(rows.values())


@pytest.mark.campaign
def test_every_change_of_every_kind_of_object_is_found(bench: Workbench) -> None:
    """Also of real files. Tools that can't change an odd file are no finding; a good verdict afterwards is one."""
    found = run(CHANGES, kinds.real(), bench)
    checked = [row for row in found if row.change.name not in NEVER_FOUND]
    missed = {
        row.change.name: [
            f"{finding.kind}: {finding.verdict}" for finding in row.findings if not finding.found
        ]
        for row in checked
        if SIGNED_HEADER
    }
    assert {name: some for name, some in missed.items() if some} == {}
    assert sum(len(row.findings) for row in found) > 500
