"""The verification page in a real Chromium: files dropped, a study looked up, a report kept."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from pydicom.filereader import dcmread

from gateway.commands.demo.study import with_a_patch, with_elements
from tests.support import objects
from tests.support.browser import Tab, running_chromium
from tests.support.gateway import DemoDestination
from tests.support.orthanc import Orthanc
from tests.support.way_back import OPEN, with_way_back
from tests.support.web_viewer import Web, header


@dataclass
class Looking:
    """web: a study of three, of which the second was tampered with in the archive.

    files: copies in a folder, one of each kind.
    """

    web: Web
    study: str
    folder: Path


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    folder = tmp_path_factory.mktemp("page")
    with (
        Orthanc(folder / "pacs", settings=OPEN) as pacs,
        with_way_back(
            folder / "gateway",
            DemoDestination(name="pacs", ae_title=pacs.ae_title, port=pacs.dicom_port),
            retrieve='web_policy = { tampered = "mark" }',
            listener='accept = "any"',
        ) as gateway,
        httpx.Client(base_url=gateway.url, timeout=120) as client,
    ):
        web = Web(folder, gateway, pacs, client)
        study = web.seal(objects.series(3, size=128, seed=21))
        uids = sorted(web.of_study(study), key=lambda uid: int(header(web.sent[uid]).InstanceNumber))
        sealed = [pacs.download(str(pacs.find(uid))) for uid in uids]
        copies = folder / "copies"
        copies.mkdir()
        (copies / "whole.dcm").write_bytes(sealed[0])
        (copies / "patched.dcm").write_bytes(with_a_patch(sealed[1]))
        (copies / "window.dcm").write_bytes(
            with_elements(sealed[2], {"WindowCenter": "7", "WindowWidth": "9"})
        )
        (copies / "holiday.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
        pacs.upload(with_a_patch(sealed[1]))
        yield Looking(web, study, copies)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def tab(looking: Looking, chromium: Browser) -> Tab:
    """The page with all copies looked at."""
    tab = Tab.of(chromium)
    tab.page.goto(f"{looking.web.gateway.url}/verify")
    tab.page.locator("#files").set_input_files(sorted(looking.folder.iterdir()))
    expect(tab.page.get_by_role("status")).to_have_text(
        "4 files: 1 unreadable, 1 tampered, 1 altered, 1 intact."
    )
    return tab


def test_the_worst_stands_first(tab: Tab) -> None:
    first, *_, last = tab.page.locator("#results tbody tr").all_inner_texts()
    assert "unreadable" in first or "tampered" in first or "altered" in first
    assert last.startswith("✓ intact")
    assert tab.troubles == []


def test_a_tampered_image_is_shown_with_its_tiles(tab: Tab, looking: Looking) -> None:
    tab.page.get_by_text("patched.dcm").click()
    expect(tab.page.locator("#verdict")).to_contain_text("✗ tampered: the image or its seal was changed")
    report = looking.web.client.post(
        "/api/v1/verify",
        content=(looking.folder / "patched.dcm").read_bytes(),
        headers={"Content-Type": "application/dicom"},
    ).json()
    expect(tab.page.locator("#picture rect")).to_have_count(len(report["tampered_tiles"]))
    drawn = tab.page.locator("#picture rect").evaluate_all(
        "all => all.map(each => ['y', 'x', 'height', 'width'].map(name => Number(each.getAttribute(name))))"
    )
    assert drawn == [tile[1:] for tile in report["tampered_tiles"]]
    assert tab.page.locator("#picture img").evaluate("each => [each.naturalWidth, each.naturalHeight]") == [
        128,
        128,
    ]
    assert tab.troubles == []


def test_an_altered_header_is_shown_before_and_after(tab: Tab) -> None:
    tab.page.get_by_text("window.dcm").click()
    row = tab.page.locator("#differences tbody tr", has_text="WindowCenter")
    expect(row).to_contain_text("7")
    expect(tab.page.locator("#verdict")).to_contain_text("altered")


def test_script_in_a_header_is_text(tab: Tab, looking: Looking, tmp_path: Path) -> None:
    trap = "<img src=x onerror=alert(1)>"
    (tmp_path / f"{trap.replace('/', '')}.dcm").write_bytes(
        with_elements(
            (looking.folder / "whole.dcm").read_bytes(), {"StudyDescription": trap, "PatientID": trap}
        )
    )
    tab.page.locator("#files").set_input_files(list(tmp_path.iterdir()))
    expect(tab.page.get_by_role("status")).to_have_text("1 files: 1 misidentified.")
    tab.page.locator("#results tbody tr").click()
    expect(tab.page.locator("#differences")).to_contain_text(trap)
    assert tab.page.locator("main img[src=x]").count() == 0
    assert tab.troubles == []


def test_a_file_that_is_no_object_is_told_so(tab: Tab) -> None:
    tab.page.get_by_text("holiday.png").click()
    expect(tab.page.locator("#verdict")).to_contain_text("unreadable: it can't be read")
    expect(tab.page.locator("#tiles")).to_contain_text("No picture")


def test_the_keyboard_is_enough(tab: Tab) -> None:
    row = tab.page.locator("#results tbody tr", has_text="whole.dcm")
    row.focus()
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("#verdict")).to_contain_text("✓ intact: it is what was sealed")
    assert tab.page.evaluate("document.activeElement.id") == "detail"


def test_the_report_is_kept_as_json_and_pdf(tab: Tab) -> None:
    tab.page.get_by_text("patched.dcm").click()
    with tab.page.expect_download() as saved:
        tab.page.get_by_role("button", name="save as JSON").click()
    assert json.loads(Path(saved.value.path()).read_text())["verdict"] == "tampered"
    with tab.page.expect_download() as saved:
        tab.page.get_by_role("button", name="save as PDF").click()
    document = Path(saved.value.path()).read_bytes()
    assert document.startswith(b"%PDF-1.4")
    assert b"Verdict: tampered" in document


def test_a_study_of_the_archive_is_looked_up(looking: Looking, chromium: Browser) -> None:
    tab = Tab.of(chromium)
    tab.page.goto(f"{looking.web.gateway.url}/verify")
    tab.page.get_by_label("Study Instance UID").fill(looking.study)
    tab.page.get_by_role("button", name="look it up").click()
    expect(tab.page.get_by_role("status")).to_have_text("3 images: 1 tampered, 2 intact.")
    tab.page.get_by_text("Series 1, image 2").click()
    expect(tab.page.locator("#picture rect").first).to_be_attached()
    assert tab.troubles == []
    assert "?" not in tab.page.url and looking.study not in tab.page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_readable_in_light_and_dark(tab: Tab, scheme: str) -> None:
    """Contrast of WCAG 2.2, 1.4.3: 4.5 at least."""
    tab.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for grade in ("good", "bad"):
        colours = tab.page.locator(f"td.{grade}").first.evaluate(
            "each => [getComputedStyle(each).color, matchMedia('(prefers-color-scheme: dark)').matches]"
        )
        ink = luminance([int(part) for part in colours[0].removeprefix("rgb(").removesuffix(")").split(",")])
        paper = luminance([18, 18, 18] if colours[1] else [255, 255, 255])
        bright, dark = max(ink, paper), min(ink, paper)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour: list[int]) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2)."""
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_loads_nothing_from_elsewhere(tab: Tab, looking: Looking) -> None:
    assert [url for url in tab.asked if not url.startswith((looking.web.gateway.url, "blob:"))] == []


def test_a_picture_of_what_is_no_image_is_an_error_that_says_so(looking: Looking) -> None:
    answer = looking.web.client.post(
        "/api/v1/picture", content=b"nonsense" * 50, headers={"Content-Type": "application/dicom"}
    )
    assert answer.status_code in (400, 422)
    frame = looking.web.client.post(
        "/api/v1/picture?frame=9",
        content=(looking.folder / "whole.dcm").read_bytes(),
        headers={"Content-Type": "application/dicom"},
    )
    assert frame.json()["error"] == "unsupported-pixels"
    wrong = looking.web.client.post("/api/v1/picture?frame=x", content=b"x")
    assert wrong.status_code == 400


def test_a_patch_inverts_the_middle() -> None:
    """The demo's change is one that people see."""
    data = objects.ct(rows=64, columns=64)
    before, after = (dcmread(io.BytesIO(each)).pixel_array for each in (data, with_a_patch(data)))
    changed = before != after
    assert changed[24:40, 24:40].all()
    assert changed.sum() == 16 * 16
