"""What is kept for viewers on the web: shared, bounded, encrypted, and never older than it may be."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydicom.filereader import dcmread

from gateway.work.handover import FOLDER
from tests.support import objects
from tests.support.gateway import DemoDestination, wait_for
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, with_way_back
from tests.support.web_viewer import DICOM, OCTETS, Web, binary_parts, data_set, header, path_of, tamper

MIB = 1 << 20


@contextmanager
def viewer(folder: Path, retrieve: str) -> Iterator[Web]:
    with (
        Orthanc(folder / "pacs", settings=OPEN) as pacs,
        with_way_back(
            folder / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            retrieve=retrieve,
            listener='accept = "any"',
        ) as gateway,
        httpx.Client(base_url=gateway.url, timeout=120) as client,
    ):
        yield Web(folder, gateway, pacs, client)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with viewer(tmp_path_factory.mktemp("web"), "cache_fresh_s = 3600") as running:
        yield running


def fetched(web: Web, source: str) -> float:
    return web.gateway.metric("sealgate_web_objects_total", source=source)


def kept_files(web: Web) -> list[Path]:
    return [path for path in (web.gateway.folder / "data" / FOLDER).rglob("*") if path.is_file()]


def test_requests_for_the_same_objects_at_the_same_time_share_one_fetch(web: Web) -> None:
    study = web.seal(objects.series(6, size=128, seed=3))
    before = fetched(web, "verified")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: web.json(f"/studies/{study}/metadata"), range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert fetched(web, "verified") - before == 6


def test_frames_after_the_metadata_are_not_fetched_again(web: Web) -> None:
    study = web.seal(objects.series(4, size=128, seed=4))
    web.json(f"/studies/{study}/metadata")
    before = fetched(web, "verified"), fetched(web, "unchanged")
    for uid in web.of_study(study):
        ((_, frame),) = binary_parts(web.get(path_of(web.sent[uid]) + "/frames/1", OCTETS))
        assert frame == dcmread(io.BytesIO(web.sent[uid])).PixelData
    assert (fetched(web, "verified"), fetched(web, "unchanged")) == before


def test_what_lies_on_the_disk_is_encrypted_and_the_owners_alone(web: Web) -> None:
    study = web.seal(objects.series(2, size=128, seed=5))
    web.json(f"/studies/{study}/metadata")
    files = kept_files(web)
    assert len(files) >= 2
    for path in files:
        content = path.read_bytes()
        assert b"DICM" not in content
        assert study.encode() not in content
        assert path.stat().st_mode & 0o077 == 0
        assert study not in str(path)


def test_an_object_that_changes_is_noticed_after_a_reload(web: Web) -> None:
    """A reload brings other keys, or another policy: nothing that was verified before counts."""
    study = web.seal(objects.series(2, size=128, seed=6))
    path = path_of(web.sent[web.of_study(study)[0]]) + "/frames/1"
    assert web.get(path, OCTETS).status_code == 200
    config = web.gateway.config
    config.write_text(
        config.read_text().replace(
            "cache_fresh_s = 3600", 'cache_fresh_s = 3600\npolicy = { intact = "withhold" }'
        )
    )
    assert web.gateway.process is not None
    web.gateway.process.send_signal(signal.SIGHUP)
    wait_for(lambda: web.get(path, OCTETS).status_code == 403, what="the new policy in force")


def test_the_cache_keeps_its_bound_and_a_study_that_is_larger_comes_whole(tmp_path: Path) -> None:
    with viewer(tmp_path, f"cache_bytes = {MIB}\ncache_fresh_s = 3600") as web:
        study = web.seal(objects.series(8, size=512, seed=7))
        came = {
            str(header(data).SOPInstanceUID): data_set(data)
            for _, data in binary_parts(web.get(f"/studies/{study}", DICOM))
        }
        assert came == {uid: data_set(web.sent[uid]) for uid in web.of_study(study)}
        assert len(web.json(f"/studies/{study}/metadata")) == 8
        for uid in web.of_study(study):
            ((_, frame),) = binary_parts(web.get(path_of(web.sent[uid]) + "/frames/1", OCTETS))
            assert frame == dcmread(io.BytesIO(web.sent[uid])).PixelData
        assert web.gateway.metric("sealgate_web_cache_bytes") <= MIB
        wait_for(
            lambda: sum(path.stat().st_size for path in kept_files(web)) <= MIB + 64_000,
            what="the bound on the disk",
        )
        folder = web.gateway.folder / "data" / FOLDER
    assert list(folder.iterdir()) == []


def test_an_object_of_the_same_bytes_is_not_verified_again_and_a_changed_one_is(tmp_path: Path) -> None:
    with viewer(tmp_path, "cache_fresh_s = 0") as web:
        study = web.seal(objects.series(3, size=128, seed=8))
        uids = web.of_study(study)
        web.json(f"/studies/{study}/metadata")
        web.json(f"/studies/{study}/metadata")
        assert (fetched(web, "verified"), fetched(web, "unchanged")) == (3, 3)
        tamper(web, uids[2])
        verdicts = {
            each["00080018"]["Value"][0]: each["00991001"]["Value"][0]
            for each in web.json(f"/studies/{study}/metadata")
        }
        assert verdicts == {uids[0]: "intact", uids[1]: "intact", uids[2]: "tampered"}
        assert (fetched(web, "verified"), fetched(web, "unchanged")) == (4, 5)
