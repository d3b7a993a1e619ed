"""`sealgate --version` never fails; the shell completes the names of the commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.commands.common.about import about, codec_ids, provider
from gateway.commands.main import COMMANDS
from gateway.seal.codec import Codec, Profile

SEALGATE = Path(sys.executable).with_name("sealgate")


def test_the_codec_ids_are_those_of_the_networks_that_are_loaded(codec: Codec) -> None:
    hides, reads = codec_ids()
    assert hides == sorted(f"{profile}-v2" for profile in Profile)
    assert reads == sorted(f"{profile}-v{number}" for profile in Profile for number in (1, 2))
    assert provider() == codec.provider.removesuffix("ExecutionProvider")


def test_the_version_is_told_where_onnx_runtime_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.seal.codec.networks", raising=False)
    monkeypatch.delitem(sys.modules, "gateway.seal.codec.onnx", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "sealgate 0.1.0" in about()
    assert "provider: none, ONNX Runtime can't be loaded (ModuleNotFoundError)" in about()


def completed(line: str) -> list[str]:
    """What bash offers at the end of `line`; click's completion script asks the program in this way."""
    words = line.split(" ")
    asked = {
        "_SEALGATE_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [SEALGATE], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60, check=True
    )
    return [answer.partition(",")[2] for answer in done.stdout.splitlines()]


def test_the_shell_completes_commands_and_options() -> None:
    assert completed("sealgate ") == list(COMMANDS)
    assert completed("sealgate ver") == ["verify"]
    assert completed("sealgate queue re") == ["release", "resend", "resume", "retry"]
    assert "--signers" in completed("sealgate verify --")


def test_bash_itself_completes_after_the_line_of_the_readme() -> None:
    script = """\
eval "$(_SEALGATE_COMPLETE=bash_source sealgate)"
COMP_WORDS=(sealgate quarantine ex) COMP_CWORD=2
_sealgate_completion sealgate
echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": f"{SEALGATE.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "export\n", done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_script_for_each_shell_that_the_readme_names(shell: str) -> None:
    done = subprocess.run(
        [SEALGATE],
        env={**os.environ, "_SEALGATE_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "_SEALGATE_COMPLETE" in done.stdout
