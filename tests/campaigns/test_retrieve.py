"""A study of some hundred slices retrieved through the gateway, beside the same straight from the archive."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from pydicom.filereader import dcmread

from gateway.commands.demo.dcmtk import storescu
from gateway.dicom.file_meta import unwrap
from tests.support import objects
from tests.support.campaign import number, write_figures
from tests.support.dcmtk import Storescp
from tests.support.gateway import DemoDestination, wait_for
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, dcmtk, getscu, movescu, with_way_back

SIZE = 512


@pytest.mark.campaign
def test_some_hundred_slices_come_back_and_how_fast(tmp_path: Path) -> None:
    slices = number("SEALGATE_RETRIEVE_SLICES", 300)
    data = objects.series(slices, size=SIZE, seed=31)
    study = f"StudyInstanceUID={dcmread(io.BytesIO(data[0])).StudyInstanceUID}"
    figures: dict[str, float] = {"slices": slices}
    with (
        Storescp(tmp_path / "ws", ae_title="WORKSTATION") as workstation,
        Orthanc(
            tmp_path / "pacs",
            settings={**OPEN, "DicomModalities": {"ws": ["WORKSTATION", "127.0.0.1", workstation.port]}},
        ) as pacs,
        with_way_back(
            tmp_path / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            viewers=[DemoDestination(name="ws", ae_title="WORKSTATION", port=workstation.port)],
            listener='accept = "any"',
        ) as gateway,
    ):
        folder = tmp_path / "sent"
        folder.mkdir()
        for place, each in enumerate(data):
            (folder / f"{place:04d}.dcm").write_bytes(each)
        storescu(gateway.dicom_port, sorted(folder.iterdir()))
        wait_for(lambda: pacs.count() == slices, what="the study in the archive", timeout_s=1200)
        gateway.until_metric("sealgate_forwarded_total", slices, destination="pacs")
        question = ("QueryRetrieveLevel=STUDY", study)
        for name in ("cold", "warm"):
            started = time.monotonic()
            answered = getscu(gateway.dicom_port, tmp_path / name, *question)
            figures[f"get_{name}_s"] = round(time.monotonic() - started, 2)
            assert f"Completed Suboperations       : {slices}" in answered.text
        started = time.monotonic()
        answered = movescu(gateway.dicom_port, "WORKSTATION", *question)
        figures["move_s"] = round(time.monotonic() - started, 2)
        assert f"Completed Suboperations       : {slices}" in answered.text
        straight = ("-S", "-aec", pacs.ae_title, "-k", question[0], "-k", question[1])
        address = ("127.0.0.1", str(pacs.dicom_port))
        (tmp_path / "straight").mkdir()
        started = time.monotonic()
        dcmtk("getscu", *straight, "-od", str(tmp_path / "straight"), "+B", *address)
        figures["get_straight_s"] = round(time.monotonic() - started, 2)
        started = time.monotonic()
        dcmtk("movescu", *straight, "-aem", "WORKSTATION", *address)
        figures["move_straight_s"] = round(time.monotonic() - started, 2)
    assert len(list((tmp_path / "straight").iterdir())) == slices
    came = {str(dcmread(path).SOPInstanceUID): path for path in (tmp_path / "warm").iterdir()}
    for each in data:
        back = came[str(dcmread(io.BytesIO(each)).SOPInstanceUID)].read_bytes()
        assert back[unwrap(back).offset :] == each[unwrap(each).offset :]
    write_figures("retrieve", **figures)
