from __future__ import annotations

from pathlib import Path

import pytest

from gateway import keys
from gateway.commands.demo.process import free_port
from tests.cli.terminal import play
from tests.support import objects
from tests.support.data import REPOSITORY

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """keys/, other-keys/, ct.dcm, mr.dcm, pdf.dcm, garbage.bin, study/ with two levels, configurations.

    sealgate.toml is the example we ship, its destinations moved to ports where nobody listens.
    """
    keys.generate(tmp_path / "keys")
    keys.generate(tmp_path / "other-keys")
    (tmp_path / "ct.dcm").write_bytes(objects.ct())
    (tmp_path / "mr.dcm").write_bytes(objects.mr())
    (tmp_path / "pdf.dcm").write_bytes(objects.report())
    (tmp_path / "garbage.bin").write_bytes(b"this is not DICOM at all" * 20)
    (tmp_path / "empty").mkdir()
    study = tmp_path / "study" / "series"
    study.mkdir(parents=True)
    example = (REPOSITORY / "deploy" / "sealgate.toml").read_text()
    example = example.replace("4242", str(free_port())).replace("11113", str(free_port()))
    (tmp_path / "sealgate.toml").write_text(example)
    broken = example.replace("port = 11112", "port = 99999").replace(
        "[listener]", '[listener]\ncolour = "red"'
    )
    (tmp_path / "broken.toml").write_text(broken)
    (study / "IM0001").write_bytes(objects.ct(number=1, seed=3))
    (study / "IM0002").write_bytes(objects.ct(number=2, seed=3))
    (tmp_path / "study" / "report.dcm").write_bytes(objects.report(seed=3))
    return tmp_path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_commands_behave_as_the_script_says(script: Path, folder: Path) -> None:
    play(script.read_text(), folder)
