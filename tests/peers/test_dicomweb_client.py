"""The PyPI package dicomweb-client, unmodified, against the gateway: tokens, roles, pages of other origins."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from tests.support import objects
from tests.support.gateway import DemoDestination
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, with_way_back
from tests.support.web_viewer import OCTETS, Web, header, path_of, tamper, tiles_of

TOKEN, OTHER = "viewer-" + "0123456789" * 4, "verify-" + "0123456789" * 4
ORIGIN = "https://viewer.example"


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


TABLES = f"""
[[http.token]]
name = "viewer"
roles = ["retrieve", "verify"]
sha256 = "{hashed(TOKEN)}"
[[http.token]]
name = "checker"
roles = ["verify"]
sha256 = "{hashed(OTHER)}"
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    with Orthanc(folder / "pacs", settings=OPEN) as pacs:
        gateway = with_way_back(
            folder / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            # Shown in red, by a viewer that knows the verdict.
            retrieve='web_policy = { tampered = "mark", misidentified = "mark" }',
            listener='accept = "any"',
            extra=TABLES,
        )
        gateway.environment["SEALGATE_HTTP__ALLOWED_ORIGINS"] = ORIGIN
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with gateway, httpx.Client(base_url=gateway.url, timeout=120, headers=headers) as client:
            yield Web(folder, gateway, pacs, client)


@pytest.fixture(scope="module")
def study(web: Web) -> str:
    return web.seal(objects.series(3, size=128, seed=3))


@pytest.fixture(scope="module")
def client(web: Web) -> DICOMwebClient:
    session = create_session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    return DICOMwebClient(f"{web.gateway.url}/dicom-web", session=session)


def test_it_searches(web: Web, client: DICOMwebClient, study: str) -> None:
    one = header(web.sent[web.of_study(study)[0]])
    (found,) = client.search_for_studies(search_filters={"PatientID": one.PatientID})
    assert Dataset.from_json(found).StudyInstanceUID == study
    assert client.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []
    (series,) = client.search_for_series(study)
    assert Dataset.from_json(series).Modality == "CT"
    assert len(client.search_for_instances(study, limit=2)) == 2


def test_it_retrieves_metadata_that_pydicom_reads(web: Web, client: DICOMwebClient, study: str) -> None:
    for each in client.retrieve_study_metadata(study):
        read = Dataset.from_json(each, bulk_data_uri_handler=lambda _uri: b"")
        sent = dcmread(io.BytesIO(web.sent[str(read.SOPInstanceUID)]))
        assert read[0x00991001].value == "intact"
        for tag in (0x00990010, 0x00991001, 0x00991002, 0x7FE00010):
            del read[tag]
        del sent[0x7FE00010]
        assert read == sent


def test_it_retrieves_objects_frames_and_pictures(web: Web, client: DICOMwebClient, study: str) -> None:
    data = web.sent[web.of_study(study)[0]]
    sent = dcmread(io.BytesIO(data))
    place = (study, str(sent.SeriesInstanceUID), str(sent.SOPInstanceUID))
    assert client.retrieve_instance(*place) == sent
    assert len(client.retrieve_series(*place[:2])) == 3
    assert len(client.retrieve_study(study)) == 3
    (frame,) = client.retrieve_instance_frames(*place, frame_numbers=[1])
    assert np.array_equal(np.frombuffer(frame, "<u2").reshape(128, 128), sent.pixel_array.view("<u2"))
    picture = client.retrieve_instance_rendered(*place, media_types=("image/png",))
    assert picture.startswith(b"\x89PNG")


def test_it_retrieves_bulk_data_by_the_address_in_the_metadata(web: Web, client: DICOMwebClient) -> None:
    table = bytes(range(256)) * 32
    data = objects.report(seed=5, EncapsulatedDocument=table)
    web.seal([data])
    one = header(data)
    metadata = client.retrieve_instance_metadata(
        str(one.StudyInstanceUID), str(one.SeriesInstanceUID), str(one.SOPInstanceUID)
    )
    uri = metadata["00420011"]["BulkDataURI"]
    (content,) = client.retrieve_bulkdata(web.gateway.url + uri)
    assert content == table


def test_a_tampered_slice_is_shown_with_its_tiles_where_the_policy_of_the_web_says_so(web: Web) -> None:
    study = web.seal(objects.series(2, size=128, seed=11))
    uid = web.of_study(study)[0]
    tamper(web, uid)
    frames = web.get(path_of(web.sent[uid]) + "/frames/1", OCTETS)
    assert (frames.status_code, frames.headers["Sealgate-Verdict"]) == (200, "tampered")
    (told,) = web.json(path_of(web.sent[uid]) + "/metadata")
    assert told["00991001"]["Value"] == ["tampered"]
    assert told["00991003"]["vr"] == "UT"
    assert told["00991003"]["Value"][0].replace(" ", "") == str(tiles_of(web, uid)).replace(" ", "")
    assert told["00280010"]["Value"] == [128]
    alerts = [line for line in web.audit() if line["action"] == "security-alert"]
    assert ("viewer", "marked", "tampered") in {
        (line["caller"], line["outcome"], line["reason"]) for line in alerts
    }


@pytest.mark.parametrize("verdict", ["intact", "tampered"])
def test_nobody_smuggles_a_verdict_in(web: Web, verdict: str) -> None:
    """Elements that an object brings along under our group do not reach a viewer."""
    data = dcmread(io.BytesIO(objects.ct(rows=64, columns=64, seed=51 + len(verdict))))
    block = data.private_block(0x0099, "SEALGATE", create=True)
    block.add_new(0x01, "LO", verdict)
    block.add_new(0x04, "LO", "smuggled")
    buffer = io.BytesIO()
    data.save_as(buffer)
    web.pacs.upload(buffer.getvalue())
    (told,) = web.json(path_of(buffer.getvalue()) + "/metadata")
    assert told["00991001"]["Value"] == ["unsealed"]
    assert "00991004" not in told


def test_a_caller_without_the_role_or_without_a_token_gets_nothing(web: Web, study: str) -> None:
    paths = (
        "/dicom-web/studies",
        f"/dicom-web/studies/{study}",
        f"/dicom-web/studies/{study}/metadata",
        f"/api/v1/findings/studies/{study}",
    )
    for path in paths:
        assert httpx.get(web.gateway.url + path).status_code == 401
        headers = {"Authorization": f"Bearer {OTHER}"}
        assert httpx.get(web.gateway.url + path, headers=headers).status_code == 403
    assert web.client.get(paths[0]).status_code == 200


def test_pages_of_a_configured_origin_may_ask_and_no_others(web: Web) -> None:
    allowed = web.get("/studies?limit=1", Origin=ORIGIN)
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "Sealgate-Verdict" in allowed.headers["access-control-expose-headers"]
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    answer = httpx.options(f"{web.gateway.url}/dicom-web/studies", headers=preflight)
    assert answer.status_code == 204
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    other = web.get("/studies?limit=1", Origin="https://viewer.example.evil.example")
    assert "access-control-allow-origin" not in other.headers
    null = httpx.options(f"{web.gateway.url}/dicom-web/studies", headers=preflight | {"Origin": "null"})
    assert "access-control-allow-origin" not in null.headers
