"""OHIF in a real Chromium, in front of the gateway and a real archive: what a radiologist sees."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from pydicom.filereader import dcmread

from gateway.commands.demo.process import free_port
from tests.support import objects
from tests.support.browser import Tab, ohif, running_chromium
from tests.support.gateway import DemoDestination
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, with_way_back
from tests.support.web_viewer import Web, header, tamper, tiles_of

SLICES = 5
TAMPERED, ALTERED = 1, 3
SHOWN = (
    "window.services.cornerstoneViewportService.getCornerstoneViewport("
    "window.services.viewportGridService.getActiveViewportId())"
)


@dataclass
class Viewed:
    """A study of five slices: one tampered in the archive's folder, one with another window.

    address: of the viewer.
    """

    web: Web
    study: str
    uids: list[str]
    address: str


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewed]:
    folder, port, files = tmp_path_factory.mktemp("viewer"), free_port(), ohif()
    with (
        Orthanc(folder / "pacs", settings=OPEN) as pacs,
        with_way_back(
            folder / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            retrieve='web_policy = { altered = "mark", tampered = "mark" }',
            listener='accept = "any"',
            extra=f'[viewer]\nenabled = true\nport = {port}\nfolder = "{files}"',
        ) as gateway,
        httpx.Client(base_url=gateway.url, timeout=120) as client,
    ):
        web = Web(folder, gateway, pacs, client)
        study = web.seal(objects.series(SLICES, size=128, seed=3))
        uids = sorted(web.of_study(study), key=lambda uid: int(header(web.sent[uid]).InstanceNumber))
        tamper(web, uids[TAMPERED])
        changed = dcmread(io.BytesIO(pacs.download(str(pacs.find(uids[ALTERED])))))
        changed.WindowCenter = "1234"
        buffer = io.BytesIO()
        changed.save_as(buffer)
        pacs.upload(buffer.getvalue())
        yield Viewed(web, study, uids, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(viewed: Viewed, chromium: Browser) -> Tab:
    """The study, open in the viewer, after the list."""
    tab = Tab.of(chromium)
    tab.page.goto(viewed.address)
    expect(tab.page.get_by_text("not yet verified")).to_be_visible()
    tab.page.goto(f"{viewed.address}/viewer?StudyInstanceUIDs={viewed.study}")
    expect(tab.page.get_by_text("Seal: ✓ intact")).to_be_visible()
    return tab


def show(opened: Tab, number: int) -> None:
    """Scroll to a slice, as the wheel does."""
    opened.page.evaluate(f"{SHOWN}.setImageIdIndex({number})")
    expect(opened.page.get_by_text(f"({number + 1}/{SLICES})")).to_be_visible()


def test_each_slice_shows_its_own_verdict(opened: Tab) -> None:
    words = {TAMPERED: "Seal: ✗ tampered", ALTERED: "Seal: ✗ altered"}
    for number in range(SLICES):
        show(opened, number)
        expect(opened.page.get_by_text("Seal:")).to_have_text(words.get(number, "Seal: ✓ intact"))


def test_the_wheel_scrolls_to_the_next_slice(opened: Tab) -> None:
    show(opened, 0)
    opened.page.mouse.move(700, 500)
    opened.page.mouse.wheel(0, 100)
    expect(opened.page.get_by_text(f"(2/{SLICES})")).to_be_visible()


def test_pixels_in_the_viewer_are_those_of_the_original(opened: Tab, viewed: Viewed) -> None:
    for number in (0, 2, 4):
        show(opened, number)
        original = dcmread(io.BytesIO(viewed.web.sent[viewed.uids[number]]))
        expected = original.pixel_array.astype(int) * int(original.RescaleSlope) + int(
            original.RescaleIntercept
        )
        shown = opened.page.evaluate(f"Array.from({SHOWN}.csImage.getPixelData())")
        assert np.array_equal(np.array(shown).reshape(128, 128), expected)


def test_tiles_are_outlined_where_the_archive_was_tampered_with(opened: Tab, viewed: Viewed) -> None:
    show(opened, TAMPERED)
    tiles = tiles_of(viewed.web, viewed.uids[TAMPERED])
    outlines = opened.page.locator("svg.sealgate-tiles polygon")
    expect(outlines).to_have_count(len(tiles))
    drawn = [
        [[float(part) for part in corner.split(",")] for corner in outline.split(" ")]
        for outline in outlines.evaluate_all("all => all.map(each => each.getAttribute('points'))")
    ]
    for (_, row, column, height, width), corners in zip(tiles, drawn, strict=True):
        back = [
            opened.page.evaluate(f"{SHOWN}.canvasToWorld([{x}, {y}])") for x, y in (corners[0], corners[2])
        ]
        data = opened.page.evaluate(
            f"(({{origin, spacing}}) => [...origin, ...spacing])({SHOWN}.getImageData())"
        )
        pixels = [[(point[axis] - data[axis]) / data[3 + axis] + 0.5 for axis in (0, 1)] for point in back]
        assert np.allclose(pixels, [[column, row], [column + width, row + height]], atol=0.01)
    show(opened, 0)
    expect(outlines).to_have_count(0)


def test_a_notice_says_what_is_wrong_until_it_was_seen(opened: Tab) -> None:
    notice = opened.page.get_by_role("alert")
    expect(notice).to_contain_text(f"1 tampered, 1 altered (of {SLICES} images)")
    notice.get_by_role("button").click()
    expect(notice).to_have_count(0)


def test_an_altered_window_is_named_in_the_corner(opened: Tab) -> None:
    show(opened, ALTERED)
    expect(opened.page.get_by_text(re.compile("WindowCenter"))).to_be_visible()


def test_the_list_shows_the_worst_of_what_was_seen(opened: Tab, viewed: Viewed, chromium: Browser) -> None:
    tab = Tab.of(chromium)
    tab.page.goto(viewed.address)
    expect(tab.page.get_by_text(f"✗ tampered ({SLICES} seen)")).to_be_visible()
    assert tab.troubles == []
    assert opened.troubles == []


def test_the_viewer_needs_no_other_host(opened: Tab, viewed: Viewed) -> None:
    assert opened.asked
    here = (f"{viewed.address}/", "blob:", "data:")
    assert [url for url in opened.asked if not url.startswith(here)] == []


def test_a_gateway_without_its_viewer_says_how_to_fetch_it(tmp_path: Path) -> None:
    gateway = with_way_back(
        tmp_path,
        DemoDestination(name="pacs", ae_title="ORTHANC", port=free_port()),
        extra="[viewer]\nenabled = true",
    )
    with pytest.raises(Exception, match="sealgate viewer fetch"):
        gateway.start()
