"""DICOMweb through the gateway, in front of a real archive: originals come back, and verdicts with them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.filereader import dcmread

from gateway.dicom.pixels import transcode
from tests.support import objects
from tests.support.gateway import DemoDestination
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, with_way_back
from tests.support.web_viewer import (
    DICOM,
    OCTETS,
    Web,
    binary_parts,
    data_set,
    header,
    parts,
    path_of,
    tamper,
    tiles_of,
)

SLICES = 5


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    with (
        Orthanc(folder / "pacs", settings=OPEN) as pacs,
        with_way_back(
            folder / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            retrieve='cache_fresh_s = 0\nweb_policy = { altered = "mark" }',
            listener='accept = "any"',
        ) as gateway,
        httpx.Client(base_url=gateway.url, timeout=120) as client,
    ):
        yield Web(folder, gateway, pacs, client)


@pytest.fixture(scope="module")
def study(web: Web) -> str:
    return web.seal(objects.series(SLICES, size=128, seed=3))


def test_studies_series_and_instances_are_found(web: Web, study: str) -> None:
    one = header(web.sent[web.of_study(study)[0]])
    (found,) = web.json(f"/studies?StudyInstanceUID={study}&includefield=00081030,ModalitiesInStudy")
    assert found["0020000D"]["Value"] == [study]
    assert found["00100020"]["Value"] == [one.PatientID]
    assert found["00100010"]["Value"][0]["Alphabetic"] == str(one.PatientName)
    assert found["00081190"]["Value"] == [f"{web.gateway.url}/dicom-web/studies/{study}"]
    (series,) = web.json(f"/studies/{study}/series?includefield=00080021,00080031,0008103E,00200011")
    assert series["0020000E"]["Value"] == [one.SeriesInstanceUID]
    listed = web.json(f"/studies/{study}/series/{one.SeriesInstanceUID}/instances")
    assert sorted(each["00080018"]["Value"][0] for each in listed) == sorted(web.of_study(study))
    assert len(web.json(f"/studies/{study}/instances?limit=2&offset=1")) == 2
    assert len(web.json(f"/instances?StudyInstanceUID={study}")) == SLICES
    assert web.json("/studies?PatientID=NOBODY") == []


def test_a_viewer_as_ohif_finds_all_that_it_reads(web: Web, study: str) -> None:
    """The questions of OHIF 3.13, in order."""
    one = header(web.sent[web.of_study(study)[0]])
    fields = "includefield=00081030%2C00080060%2C00080090%2C00100030"
    (found,) = [
        each
        for each in web.json(f"/studies?limit=101&offset=0&fuzzymatching=false&{fields}")
        if each["0020000D"]["Value"] == [study]
    ]
    assert found["00201208"]["Value"] == [SLICES]
    assert found["00201206"]["Value"] == [1]
    assert found["00080061"]["Value"] == ["CT"]
    assert found["00080020"]["Value"] == [one.StudyDate]
    assert found["00100030"]["Value"] == [one.PatientBirthDate]
    (series,) = web.json(f"/studies/{study}/series?includefield=00080021%2C00080031%2C0008103E%2C00200011")
    assert series["00080060"]["Value"] == ["CT"]
    assert series["00201209"]["Value"] == [SLICES]
    assert series["00200011"]["Value"] == [one.SeriesNumber]
    (prior,) = web.json(f"/studies?00100020={one.PatientID}")
    assert prior["0020000D"]["Value"] == [study]
    (named,) = web.json(f"/studies?PatientName={str(one.PatientName)[:4].lower()}*&StudyInstanceUID={study}")
    assert named["00100020"]["Value"] == [one.PatientID]


def test_metadata_and_frames_are_those_of_the_original(web: Web, study: str) -> None:
    uids = web.of_study(study)
    one = header(web.sent[uids[0]])
    response = web.get(f"/studies/{study}/series/{one.SeriesInstanceUID}/metadata", "application/dicom+json")
    assert response.status_code == 200, web.gateway.log
    assert response.headers["Sealgate-Verdict"] == f"intact; intact={SLICES}"
    metadata = {each["00080018"]["Value"][0]: each for each in response.json()}
    assert sorted(metadata) == sorted(uids)
    for uid in uids:
        sent = dcmread(io.BytesIO(web.sent[uid]))
        expected = sent.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda _element: "x")
        told = {key: value for key, value in metadata[uid].items() if not key.startswith("0099")}
        assert told.pop("7FE00010") == {
            "vr": "OW",
            "BulkDataURI": f"/dicom-web{path_of(web.sent[uid])}/frames",
        }
        expected.pop("7FE00010")
        assert told == expected
        assert metadata[uid]["00991001"]["Value"] == ["intact"]
        frames = web.get(f"{path_of(web.sent[uid])}/frames/1", OCTETS)
        assert frames.status_code == 200
        ((kind, content),) = binary_parts(frames)
        assert kind == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
        assert content == sent.PixelData
        assert frames.headers["Sealgate-Verdict"] == "intact"


def test_objects_come_back_byte_for_byte_alone_and_together(web: Web, study: str) -> None:
    uids = web.of_study(study)
    alone = web.get(path_of(web.sent[uids[0]]), "application/dicom; transfer-syntax=*")
    assert alone.status_code == 200
    assert alone.headers["content-type"].startswith("application/dicom")
    assert data_set(alone.content) == data_set(web.sent[uids[0]])
    together = web.get(f"/studies/{study}", DICOM)
    assert together.status_code == 200
    came = {str(header(data).SOPInstanceUID): data for _, data in binary_parts(together)}
    assert sorted(came) == sorted(uids)
    for uid in uids:
        assert data_set(came[uid]) == data_set(web.sent[uid])
    assert [kind.get_content_type() for kind, _ in parts(together)] == ["application/dicom"] * SLICES


def test_another_transfer_syntax_is_made_where_nothing_is_lost(web: Web, study: str) -> None:
    data = web.sent[web.of_study(study)[0]]
    response = web.get(path_of(data), "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80")
    read = dcmread(io.BytesIO(response.content))
    assert read.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    assert np.array_equal(read.pixel_array, dcmread(io.BytesIO(data)).pixel_array)
    lossy = web.get(path_of(data), "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50")
    assert lossy.status_code == 406


def test_compressed_frames_come_as_they_are_or_decoded(web: Web) -> None:
    data = objects.ct(rows=96, columns=96, seed=41)
    compressed = transcode(data, "1.2.840.10008.1.2.4.80")
    web.seal([compressed])
    sent = dcmread(io.BytesIO(compressed))
    path = path_of(compressed) + "/frames/1"
    ((kind, frame),) = binary_parts(web.get(path, OCTETS))
    assert kind == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.80"
    assert frame == next(generate_frames(sent.PixelData, number_of_frames=1))
    ((kind, frame),) = binary_parts(web.get(path, 'multipart/related; type="image/jls"'))
    assert kind == "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"
    single = web.get(path, "image/jls")
    assert (single.headers["content-type"], single.content) == (kind, frame)
    ((kind, frame),) = binary_parts(web.get(path, 'multipart/related; type="application/octet-stream"'))
    assert kind == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    assert frame == dcmread(io.BytesIO(data)).PixelData
    assert web.get(path, "image/jp2").status_code == 406


def test_frames_of_a_multi_frame_object_come_in_the_order_of_the_list(web: Web) -> None:
    data = objects.multi_frame(frames=4)
    web.seal([data])
    pixels = dcmread(io.BytesIO(data)).PixelData
    size = len(pixels) // 4
    came = binary_parts(web.get(path_of(data) + "/frames/3,1", OCTETS))
    assert [frame for _, frame in came] == [pixels[2 * size : 3 * size], pixels[:size]]
    assert web.get(path_of(data) + "/frames/5", OCTETS).status_code == 404
    for wrong in ("0", "x", "1,,2", "-1"):
        assert web.get(path_of(data) + f"/frames/{wrong}", OCTETS).status_code == 400


def test_pictures_are_the_windowed_pixels(web: Web, study: str) -> None:
    data = web.sent[web.of_study(study)[0]]
    sent = dcmread(io.BytesIO(data))
    values = sent.pixel_array * float(sent.get("RescaleSlope", 1)) + float(sent.get("RescaleIntercept", 0))
    response = web.get(path_of(data) + "/rendered?window=50,400,linear", "image/png")
    assert response.headers["content-type"] == "image/png"
    shown = np.asarray(Image.open(io.BytesIO(response.content)))
    expected = np.clip(((values - 49.5) / 399 + 0.5) * 255, 0, 255)
    assert np.abs(shown - expected).max() <= 0.51
    jpeg = Image.open(io.BytesIO(web.get(path_of(data) + "/rendered", "image/jpeg").content))
    assert (jpeg.format, jpeg.size) == ("JPEG", (128, 128))
    small = web.get(path_of(data) + "/rendered?viewport=64,32", "image/jpeg")
    assert Image.open(io.BytesIO(small.content)).size == (32, 32)
    for path in (f"/studies/{study}", path_of(data).split("/instances")[0], path_of(data)):
        thumbnail = web.get(path + "/thumbnail")
        assert thumbnail.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(thumbnail.content)).size == (128, 128)
    for wrong in ("window=1", "window=1,0,linear", "window=a,b", "viewport=0,5", "quality=0"):
        assert web.get(path_of(data) + f"/rendered?{wrong}").status_code == 400
    assert web.get(path_of(data) + "/rendered", "image/gif").status_code == 406


# -- what is not whole


def test_a_tampered_object_is_withheld_and_its_metadata_says_so(web: Web) -> None:
    study = web.seal(objects.series(3, size=128, seed=11))
    uids = web.of_study(study)
    tamper(web, uids[1])
    path = path_of(web.sent[uids[1]])
    metadata = {each["00080018"]["Value"][0]: each for each in web.json(f"/studies/{study}/metadata")}
    assert sorted(metadata) == sorted(uids)
    told = metadata[uids[1]]
    assert told["00990010"] == {"vr": "LO", "Value": ["SEALGATE"]}
    assert told["00991001"] == {"vr": "LO", "Value": ["tampered"]}
    assert "changed after it was sealed" in told["00991002"]["Value"][0]
    assert json.loads(told["00991003"]["Value"][0]) == tiles_of(web, uids[1])
    assert told["00100020"]["Value"] == [header(web.sent[uids[1]]).PatientID]
    assert told["00280010"]["Value"] == [128]
    assert "7FE00010" not in told
    assert "00281050" not in told
    for accept, ending in (
        (OCTETS, "/frames/1"),
        (DICOM, ""),
        ("image/png", "/rendered"),
        ("*/*", "/thumbnail"),
    ):
        response = web.get(path + ending, accept)
        assert response.status_code == 403
        assert response.json()["error"] == "withheld"
        assert response.headers["Sealgate-Verdict"] == "tampered"
    together = web.get(f"/studies/{study}", DICOM)
    assert together.status_code == 206
    assert "left out" in together.headers["Warning"]
    assert together.headers["Sealgate-Verdict"] == "tampered; tampered=1; intact=2"
    assert len(binary_parts(together)) == 2
    alerts = [line for line in web.audit() if line["action"] == "security-alert"]
    assert {(line["outcome"], line["reason"]) for line in alerts} >= {("withheld", "tampered")}
    findings = web.client.get(f"/api/v1/findings/studies/{study}").json()
    assert findings["counts"] == {"tampered": 1, "intact": 2}
    worst = findings["instances"][0]
    assert (worst["sop_instance_uid"], worst["verdict"], worst["treatment"]) == (
        uids[1],
        "tampered",
        "withhold",
    )
    assert worst["tampered_tiles"] == tiles_of(web, uids[1])
    assert "record" not in worst


def test_an_object_that_is_changed_after_it_was_handed_out_is_not_handed_out_again(web: Web) -> None:
    study = web.seal(objects.series(2, size=128, seed=12))
    uid = web.of_study(study)[0]
    path = path_of(web.sent[uid]) + "/frames/1"
    first = web.get(path, OCTETS)
    assert first.status_code == 200
    again = web.get(path, OCTETS, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    tamper(web, uid)
    assert web.get(path, OCTETS, **{"If-None-Match": first.headers["ETag"]}).status_code == 403


def test_an_object_that_the_archive_has_no_more_is_gone(web: Web) -> None:
    study = web.seal(objects.series(2, size=128, seed=14))
    uid = web.of_study(study)[0]
    path = path_of(web.sent[uid])
    assert web.get(path, DICOM).status_code == 200
    web.pacs.request("DELETE", f"/instances/{web.pacs.find(uid)}")
    assert web.get(path, DICOM).status_code == 410
    assert web.get(path, DICOM).status_code == 404


def test_an_altered_window_is_marked_with_its_keyword(web: Web) -> None:
    study = web.seal(objects.series(2, size=128, seed=13))
    uid = web.of_study(study)[0]
    changed = dcmread(io.BytesIO(web.pacs.download(str(web.pacs.find(uid)))))
    changed.WindowCenter = "1234"
    buffer = io.BytesIO()
    changed.save_as(buffer)
    web.pacs.upload(buffer.getvalue())
    (told,) = web.json(path_of(web.sent[uid]) + "/metadata")
    assert told["00991001"]["Value"] == ["altered"]
    assert "WindowCenter" in told["00991002"]["Value"][0]
    assert told["00281050"]["Value"] == [1234]
    frames = web.get(path_of(web.sent[uid]) + "/frames/1", OCTETS)
    assert (frames.status_code, frames.headers["Sealgate-Verdict"]) == (200, "altered")


# -- who may ask, and how


@pytest.mark.parametrize(
    "path",
    ["/studies?NoSuchThing=1", "/studies?limit=x", "/studies?StudyDate=yesterday", "/studies?00000001=1",
     "/studies?fuzzymatching=perhaps", "/studies?StudyInstanceUID=x%20y", "/studies/x..y/series"],
)  # fmt: skip
def test_a_search_that_makes_no_sense_is_a_bad_request(web: Web, path: str) -> None:
    response = web.get(path)
    assert response.status_code == 400, response.text
    assert response.json()["message"]


def test_fuzzy_matching_is_answered_with_a_warning(web: Web, study: str) -> None:
    response = web.get(f"/studies?fuzzymatching=true&StudyInstanceUID={study}")
    assert response.status_code == 200
    assert "fuzzymatching" in response.headers["Warning"]


def test_what_is_not_there_is_not_found(web: Web) -> None:
    assert web.get("/studies/1.2.3", DICOM).status_code == 404
    assert web.get("/studies/1.2.3/metadata").status_code == 404
    assert web.get("/studies/1.2.3/series/1.2/instances/1/frames/1", OCTETS).status_code == 404


def test_metadata_is_json_or_nothing(web: Web, study: str) -> None:
    assert web.get(f"/studies/{study}/metadata", "application/dicom+xml").status_code == 406
    zipped = web.client.get(f"/dicom-web/studies/{study}/metadata", headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    plain = web.client.get(f"/dicom-web/studies/{study}/metadata", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert zipped.json() == plain.json()


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"X-Forwarded-For": "10.0.0.1"}, {"Forwarded": "for=10.0.0.1"}]
)
def test_without_a_token_no_page_and_nobody_behind_a_proxy_gets_in(
    web: Web, study: str, headers: dict[str, str]
) -> None:
    response = web.get(f"/studies/{study}/metadata", **headers)
    assert response.status_code == 403


def test_no_origin_is_allowed_unless_it_is_configured(web: Web) -> None:
    response = web.get("/studies?limit=1", Origin="https://viewer.example")
    assert "access-control-allow-origin" not in response.headers


def test_neither_logs_nor_audit_name_a_study_or_a_patient(web: Web, study: str) -> None:
    web.json(f"/studies/{study}/metadata")
    one = header(web.sent[web.of_study(study)[0]])
    log = (web.gateway.folder / "data" / "audit.log").read_text()
    assert '"action": "retrieve"' in log
    for text in (log, web.gateway.log, web.gateway.get("/metrics")):
        assert study not in text
        assert str(one.PatientID) not in text
