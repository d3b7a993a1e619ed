"""Published vectors: sealed files of every format version keep the findings with which they were published."""

from __future__ import annotations

import shutil
from pathlib import Path

from gateway import keys
from gateway.seal.codec import Codec
from gateway.seal.verifying import restore, verify

ROOT = Path(__file__).parents[2] / "vectors"
EXPECTED: list[tuple[Path, str, str]] = [
    (version.parent, line.split(": ")[0], line.split(": ")[1])
    for version in sorted(ROOT.glob("v*/expect.txt"))
    for line in version.read_text().splitlines()
]


def test_every_vector_is_found_as_published(codec: Codec, tmp_path: Path) -> None:
    for folder, name, expect in EXPECTED:
        key = tmp_path / f"{folder.name}.key"
        shutil.copyfile(folder / "keys" / "recipient.key", key)
        # Version control does not keep such modes.
        key.chmod(0o600)
        report = verify(
            (folder / f"{name}.dcm").read_bytes(),
            trusted=keys.load_trusted_signers(folder / "keys" / "signer.pub"),
            recipient_key=keys.load_recipient_key(key),
            codec=codec,
        )
        failed = map(str, sorted(check.n for check in report.checks if not check.ok))
        assert " ".join([report.verdict.value, *failed]) == expect, f"{folder.name}/{name}"


def test_every_intact_vector_is_restored(codec: Codec, tmp_path: Path) -> None:
    for folder, name, expect in EXPECTED:
        if expect.split()[0] not in {"intact", "transcoded"}:
            continue
        key = tmp_path / f"{folder.name}.key"
        shutil.copyfile(folder / "keys" / "recipient.key", key)
        key.chmod(0o600)
        data = (folder / f"{name}.dcm").read_bytes()
        _, restoration = restore(data, recipient_key=keys.load_recipient_key(key), codec=codec)
        assert restoration.restored, f"{folder.name}/{name}: {restoration.reason}"


def test_no_vector_lies_about_without_an_expectation() -> None:
    for folder in {folder for folder, *_ in EXPECTED}:
        named = {name for where, name, _ in EXPECTED if where == folder}
        assert {path.stem for path in folder.glob("*.dcm")} == named
