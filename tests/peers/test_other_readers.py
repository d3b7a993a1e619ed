"""What DCMTK, GDCM and dciodvfy make of sealed objects: the same pixels, and a valid object."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.dicom.pixels import transcode
from gateway.seal.codec import Codec
from gateway.seal.verifying import Verdict
from tests.support import objects
from tests.support.data import shipped
from tests.support.desk import Desk

RLE, JPEG_LS, JPEG_2000 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
PROCESS_14, FIRST_ORDER = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
DECODERS = {
    RLE: (["dcmdrle"], ["gdcmconv", "--raw"]),
    JPEG_LS: (["dcmdjpls"], ["gdcmconv", "--raw"]),
    JPEG_2000: (["gdcmconv", "--raw"],),
    PROCESS_14: (["dcmdjpeg", "+cn"], ["gdcmconv", "--raw"]),
    FIRST_ORDER: (["dcmdjpeg", "+cn"], ["gdcmconv", "--raw"]),
}
BUILDERS = (objects.ct, objects.signed_ct, objects.fundus, objects.multi_frame)


@pytest.fixture(scope="module")
def desk(key_folder: Path, codec: Codec) -> Desk:
    return Desk.of(key_folder, codec)


def run(command: list[str], *paths: Path) -> str:
    """Run a Debian tool by its full path; a missing one fails the test and says how to install it."""
    tool = Path("/usr/bin") / command[0]
    if not tool.exists():
        pytest.fail(f"{tool} is missing: run `make peers`", pytrace=False)
    ended = subprocess.run(
        [str(tool), *command[1:], *map(str, paths)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return ended.stderr


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("syntax", DECODERS)
def test_other_decoders_read_the_pixels_that_were_sealed(
    desk: Desk, tmp_path: Path, build: Callable[..., bytes], syntax: str
) -> None:
    sealed, result = desk.seal(transcode(build(rows=120, columns=136), syntax))
    assert result.level == "full"
    source = tmp_path / "sealed.dcm"
    source.write_bytes(sealed)
    for number, command in enumerate(DECODERS[syntax]):
        target = tmp_path / f"{number}.dcm"
        said = run(command, source, target)
        assert target.exists(), said
        assert desk.verify(target.read_bytes()).verdict is Verdict.TRANSCODED, command
        assert desk.restore(target.read_bytes())[1].reason == "proven"


@pytest.mark.parametrize("identity", ["keep", "derive"])
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "test-SR.dcm", "rtplan.dcm"])
def test_a_sealed_object_has_no_error_that_the_original_had_not(
    desk: Desk, tmp_path: Path, name: str, identity: str
) -> None:
    original = shipped(name)
    sealed = tmp_path / "sealed.dcm"
    sealed.write_bytes(desk.seal(original.read_bytes(), identity=identity)[0])
    assert not errors(sealed) - errors(original)


def errors(path: Path) -> Counter[str]:
    return Counter(line for line in run(["dciodvfy"], path).splitlines() if line.startswith("Error"))
