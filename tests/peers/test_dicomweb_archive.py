"""DICOMweb through the gateway, in front of an archive that is asked over DICOMweb itself."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx
import pytest
from pydicom.filereader import dcmread

from tests.support import objects
from tests.support.gateway import DemoDestination
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, getscu, with_way_back
from tests.support.web_viewer import (
    DICOM,
    OCTETS,
    WITH_PLUGIN,
    Web,
    binary_parts,
    data_set,
    header,
    path_of,
    tamper,
)

SLICES = 5


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    with (
        Orthanc(folder / "pacs", settings=OPEN | WITH_PLUGIN) as pacs,
        with_way_back(
            folder / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            retrieve=f'dicomweb = "{pacs.url}/dicom-web"\nfetch = "wado"\ncache_fresh_s = 0',
            listener='accept = "any"',
        ) as gateway,
        httpx.Client(base_url=gateway.url, timeout=120) as client,
    ):
        yield Web(folder, gateway, pacs, client)


@pytest.fixture(scope="module")
def study(web: Web) -> str:
    return web.seal(objects.series(SLICES, size=128, seed=3))


def test_searches_are_answered_by_the_archives_dicomweb(web: Web, study: str) -> None:
    one = header(web.sent[web.of_study(study)[0]])
    (found,) = web.json(f"/studies?PatientID={one.PatientID}&includefield=StudyDescription")
    assert found["0020000D"]["Value"] == [study]
    assert found["00081190"]["Value"] == [f"{web.gateway.url}/dicom-web/studies/{study}"]
    (series,) = web.json(f"/studies/{study}/series")
    assert series["0020000E"]["Value"] == [one.SeriesInstanceUID]
    instances = web.json(f"/studies/{study}/series/{one.SeriesInstanceUID}/instances?limit=3")
    assert len(instances) == 3
    assert len(web.json(f"/instances?StudyInstanceUID={study}")) == SLICES
    assert web.json("/studies?PatientID=NOBODY") == []


def test_a_study_comes_back_byte_for_byte(web: Web, study: str) -> None:
    uids = web.of_study(study)
    metadata = web.json(f"/studies/{study}/metadata")
    assert [each["00991001"]["Value"] for each in metadata] == [["intact"]] * SLICES
    together = web.get(f"/studies/{study}", DICOM)
    assert together.headers["Sealgate-Verdict"] == f"intact; intact={SLICES}"
    came = {str(header(data).SOPInstanceUID): data for _, data in binary_parts(together)}
    assert {uid: data_set(data) for uid, data in came.items()} == {
        uid: data_set(web.sent[uid]) for uid in uids
    }
    ((_, frame),) = binary_parts(web.get(path_of(web.sent[uids[0]]) + "/frames/1", OCTETS))
    assert frame == dcmread(io.BytesIO(web.sent[uids[0]])).PixelData


def test_a_tampered_object_is_withheld(web: Web) -> None:
    study = web.seal(objects.series(2, size=128, seed=11))
    uid = web.of_study(study)[1]
    tamper(web, uid)
    assert web.get(path_of(web.sent[uid]) + "/frames/1", OCTETS).status_code == 403
    assert web.get(f"/studies/{study}", DICOM).status_code == 206


def test_an_object_that_the_archive_has_no_more_is_gone(web: Web) -> None:
    study = web.seal(objects.series(2, size=128, seed=14))
    uid = web.of_study(study)[0]
    path = path_of(web.sent[uid])
    assert web.get(path, DICOM).status_code == 200
    web.pacs.request("DELETE", f"/instances/{web.pacs.find(uid)}")
    assert web.get(path, DICOM).status_code == 410
    assert web.get(path, DICOM).status_code == 404


def test_viewers_over_dimse_get_what_came_over_dicomweb(web: Web, study: str) -> None:
    into = web.folder / "got"
    getscu(web.gateway.dicom_port, into, "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}")
    came = {str(header(path.read_bytes()).SOPInstanceUID): path.read_bytes() for path in into.iterdir()}
    assert {uid: data_set(data) for uid, data in came.items()} == {
        uid: data_set(web.sent[uid]) for uid in web.of_study(study)
    }
