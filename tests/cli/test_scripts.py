from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gateway import keys
from gateway.commands.demo.process import free_port
from tests.cli.terminal import play
from tests.support import objects
from tests.support.data import REPOSITORY

# What stands for the site's own de-identification: name of a configuration -> shell script that gets two files.
DEIDENTIFYING = {
    "releasing": 'cp "$1" "$2" && dcmodify -nb -ie -ep -ma PatientName=Anonymous -ma PatientID=A1 "$2"',
    "failing": 'echo "the patient is Müller" >&2; cp "$1" "$2"; exit 7',
    "hanging": "sleep 1000 & wait",
    "idle": "true",
    "copying": 'cp "$1" "$2"',
    "sealing": 'cp sealed/series/IM0001 "$2"',
}
RELEASING = """
[keys]
signers = "keys/signer.pub"
recipient_key = "keys/recipient.key"
recipient = "keys/recipient.pub"
signer = "keys/signer.key"

[release]
command = ["/bin/sh", "{folder}/{name}.sh", "{{in}}", "{{out}}"]
timeout_s = {timeout_s}

[[destination]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = 104

[[destination]]
name = "research-pacs"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = 104
failover = "stand-in"

[[destination]]
name = "stand-in"
ae_title = "MYXNAT"
host = "127.0.0.1"
port = 104

[[route]]
called = "RELEASE"
action = "release"
to = ["archive"]
"""
SEALED_RESEARCH = """
[[route]]
called = "SEALGATE"
action = "seal"
to = ["research-pacs"]
"""

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """keys/, other-keys/, ct.dcm, mr.dcm, pdf.dcm, garbage.bin, study/ with two levels, configurations, images.

    photo.png, photo.jpg; cut.png is truncated.

    releasing.toml and others name commands that de-identify, well or badly.
    sealgate.toml is the example we ship, its destinations moved to ports where nobody listens.
    """
    keys.generate(tmp_path / "keys")
    keys.generate(tmp_path / "other-keys")
    (tmp_path / "ct.dcm").write_bytes(objects.ct())
    (tmp_path / "mr.dcm").write_bytes(objects.mr())
    (tmp_path / "pdf.dcm").write_bytes(objects.report())
    (tmp_path / "garbage.bin").write_bytes(b"this is not DICOM at all" * 20)
    (tmp_path / "empty").mkdir()
    _draw(tmp_path)
    study = tmp_path / "study" / "series"
    study.mkdir(parents=True)
    example = (REPOSITORY / "deploy" / "sealgate.toml").read_text()
    example = example.replace("4242", str(free_port())).replace("11113", str(free_port()))
    (tmp_path / "sealgate.toml").write_text(example)
    broken = example.replace("port = 11112", "port = 99999").replace(
        "[listener]", '[listener]\ncolour = "red"'
    )
    (tmp_path / "broken.toml").write_text(broken)
    _prepare_releasing(tmp_path)
    (study / "IM0001").write_bytes(objects.ct(number=1, seed=3))
    (study / "IM0002").write_bytes(objects.ct(number=2, seed=3))
    (tmp_path / "study" / "report.dcm").write_bytes(objects.report(seed=3))
    return tmp_path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_commands_behave_as_the_script_says(script: Path, folder: Path) -> None:
    play(script.read_text(), folder)


def _draw(folder: Path) -> None:
    noise = np.random.default_rng(5).normal(120, 25, (256, 256, 3)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(noise)
    image.save(folder / "photo.png")
    image.save(folder / "photo.jpg")
    (folder / "cut.png").write_bytes((folder / "photo.png").read_bytes()[:5000])


def _prepare_releasing(folder: Path) -> None:
    for name, script in DEIDENTIFYING.items():
        (folder / f"{name}.sh").write_text(f"cd {folder}\n{script}\n")
        timeout_s = 0.5 if name == "hanging" else 120
        text = RELEASING.format(folder=folder, name=name, timeout_s=timeout_s)
        (folder / f"{name}.toml").write_text(text)
    text = RELEASING.format(folder=folder, name="releasing", timeout_s=60)
    (folder / "cautions.toml").write_text(text + SEALED_RESEARCH)
