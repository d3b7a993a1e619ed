"""A study through the gateway into a real PACS, and what can be proven of what the PACS gives back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from gateway import keys
from gateway.commands.demo.study import make_series, with_elements, with_one_pixel_changed
from gateway.seal.codec.codec import Codec
from gateway.seal.restoring import restore
from gateway.seal.verifying import (
    Report,
    Verdict,
    extract,
    verify,
)
from tests.support import objects
from tests.support.data import collection
from tests.support.dcmtk import LOSSLESS_TRANSCODES, remove_private_elements, storescu, transcode
from tests.support.gateway import RunningGateway, sealing_to, wait_for
from tests.support.orthanc import Orthanc

QUICK_SLICES = 6  # of each real series in the quick run; the whole series belong to the campaign


@dataclass
class House:
    """A running gateway, the PACS behind it, and what a verifier holds."""

    gateway: RunningGateway
    pacs: Orthanc
    codec: Codec

    def __post_init__(self) -> None:
        self.trusted = keys.load_trusted_signers(self.gateway.keys / "signer.pub")
        self.recipient_key = keys.load_recipient_key(self.gateway.keys / "recipient.key")

    def through(self, files: list[Path]) -> list[bytes]:
        """What the PACS holds of `files` after storescu sent them.

        The PACS is not emptied between tests: the gateway knows bytes it delivered before and sends them once.
        """
        uids = [str(_header(path.read_bytes()).SOPInstanceUID) for path in files]
        storescu(self.gateway.dicom_port, files)
        waiting = set(uids)

        def arrived() -> bool:
            waiting.difference_update([uid for uid in waiting if self.pacs.find(uid)])
            return not waiting

        wait_for(arrived, what="all objects in the PACS", timeout_s=120 + 2 * len(files))
        return [self.pacs.download(str(self.pacs.find(uid))) for uid in uids]

    def verify(self, data: bytes, *, opened: bool = True) -> Report:
        key = self.recipient_key if opened else None
        return verify(data, trusted=self.trusted, recipient_key=key, codec=self.codec)

    def record(self, data: bytes) -> dict[str, object]:
        found = extract(data, recipient_key=self.recipient_key, codec=self.codec)
        assert found.record is not None, "no record in the pixels"
        return dict(found.record)

    def restore(self, data: bytes) -> Dataset:
        original, restoration = restore(data, recipient_key=self.recipient_key, codec=self.codec)
        assert original is not None, restoration.reason
        return dcmread(io.BytesIO(original))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, orthanc_server: Orthanc, codec: Codec) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with sealing_to(folder, orthanc_server) as gateway:
        yield House(gateway, orthanc_server, codec)


def _quick_series(tmp_path: Path) -> dict[str, list[Path]]:
    """Real slices from the collection if there, and always a CT that pydicom ships and synthetic ones."""
    found = {
        name: files[len(files) // 2 :][:QUICK_SLICES]
        for name in ("ct_head_ge_28", "mr_t1_mprage_philips_170")
        if (files := collection(f"series/{name}/*"))
    }
    folder = tmp_path / "synthetic"
    folder.mkdir()
    for number, data in enumerate(objects.series(4)):
        (folder / f"ct{number}.dcm").write_bytes(data)
    kinds = (objects.mr, objects.signed_ct, objects.fundus, objects.multi_frame)
    for build in kinds:
        (folder / f"{build.__name__}.dcm").write_bytes(build())
    return found | {"shipped": make_series(tmp_path / "shipped")[:4], "synthetic": sorted(folder.iterdir())}


def _assert_complete_and_proven(house: House, files: list[Path]) -> None:
    originals = {str(d.SOPInstanceUID): d for d in map(dcmread, files)}
    received = house.through(files)
    assert sorted(str(_header(data).SOPInstanceUID) for data in received) == sorted(originals)
    for data in received:
        report = house.verify(data)
        assert (report.verdict, report.level) == (Verdict.INTACT, "full"), report.to_json()
        original = originals[report.sop_instance_uid]
        for keyword, value in house.record(data).items():
            assert str(value) == str(original.get(keyword, "")), keyword
        assert house.restore(data).PixelData == original.PixelData


def test_series_arrive_complete_verify_open_and_restore(house: House, tmp_path: Path) -> None:
    for files in _quick_series(tmp_path).values():
        _assert_complete_and_proven(house, files)


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["ct_head_ge_28", "mr_t1_mprage_philips_170"])
def test_whole_series_arrive_complete_verify_open_and_restore(house: House, name: str) -> None:
    files = collection(f"series/{name}/*")
    if files:
        _assert_complete_and_proven(house, files)


@pytest.fixture(scope="module")
def sealed(house: House, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Objects as the PACS gives them back: the first of each quick series."""
    folder = tmp_path_factory.mktemp("sealed")
    files = [path for paths in _quick_series(folder).values() for path in paths[:1]]
    written = []
    for number, data in enumerate(house.through(files)):
        written.append(folder / f"sealed{number}.dcm")
        written[-1].write_bytes(data)
    return written


@pytest.mark.parametrize("kind", LOSSLESS_TRANSCODES)
def test_a_lossless_change_of_syntax_is_transcoded_and_everything_still_holds(
    house: House, sealed: list[Path], kind: str, tmp_path: Path
) -> None:
    for path in sealed:
        changed = tmp_path / path.name
        transcode(path, changed, kind)
        data = changed.read_bytes()
        assert (
            _header(data).file_meta.TransferSyntaxUID
            != _header(path.read_bytes()).file_meta.TransferSyntaxUID
        )
        report = house.verify(data)
        assert report.verdict is Verdict.TRANSCODED, report.to_json()
        assert house.record(data) == house.record(path.read_bytes())
        assert (house.restore(data).pixel_array == house.restore(path.read_bytes()).pixel_array).all()


def test_without_private_elements_it_is_stripped_and_the_record_is_still_there(
    house: House, sealed: list[Path], tmp_path: Path
) -> None:
    for path in sealed:
        bare = tmp_path / path.name
        remove_private_elements(path, bare)
        report = house.verify(bare.read_bytes())
        assert report.verdict is Verdict.STRIPPED, report.to_json()
        assert house.record(bare.read_bytes()) == house.record(path.read_bytes())


def test_stripped_and_re_encoded_the_record_is_still_there(
    house: House, sealed: list[Path], tmp_path: Path
) -> None:
    for path in sealed:
        bare, smaller = tmp_path / path.name, tmp_path / f"j2k-{path.name}"
        remove_private_elements(path, bare)
        transcode(bare, smaller, "jpeg-2000")
        assert house.record(smaller.read_bytes()) == house.record(path.read_bytes())


@pytest.mark.parametrize("opened", [True, False], ids=["with-key", "without-key"])
def test_one_changed_pixel_is_tampered_with_its_tile(house: House, sealed: list[Path], opened: bool) -> None:
    for path in sealed:
        header = _header(path.read_bytes())
        row, column = int(header.Rows) * 2 // 3, int(header.Columns) // 2
        report = house.verify(
            with_one_pixel_changed(path.read_bytes(), row=row, column=column), opened=opened
        )
        assert report.verdict is Verdict.TAMPERED, report.to_json()
        (frame, top, left, height, width), *others = report.tampered_tiles
        assert not others and frame == 0
        assert top <= row < top + height and left <= column < left + width


@pytest.mark.parametrize("opened", [True, False], ids=["with-key", "without-key"])
def test_another_patient_id_is_misidentified_with_the_field(
    house: House, sealed: list[Path], opened: bool
) -> None:
    for path in sealed:
        report = house.verify(with_elements(path.read_bytes(), {"PatientID": "ANOTHER"}), opened=opened)
        assert report.verdict is Verdict.MISIDENTIFIED, report.to_json()
        assert [difference["keyword"] for difference in report.header_differences] == ["PatientID"]


def _header(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(data), stop_before_pixels=True)
