"""Folders that somebody else filled: what is no file is named, the rest is done, and nothing leaves its place."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import unicodedata
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway import keys
from gateway.commands.common.exits import Exit
from gateway.commands.common.files import inputs_and_outputs, opened_input, write_output
from gateway.commands.common.printing import printable
from gateway.dicom.inflation import check_inflated
from gateway.dicom.part10 import read
from gateway.errors import GatewayError, TooMuchMemory, UsageError
from tests.cli.terminal import sealgate
from tests.support import objects

FORGED = "intact         x\nintact"
STEERING = [
    "\n",
    "\r",
    "\x1b[2J",
    "\x07",
    "\x7f",
    "\x85",
    "\x9b",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\u2069",
]
DEFLATED = "1.2.840.10008.1.2.1.99"
SEALING = ["--recipient", "keys/recipient.pub", "--signer", "keys/signer.key"]
OPENING = ["--recipient-key", "keys/recipient.key"]
# Each with the folder `in`, which is sealed into `out`.
COMMANDS: dict[str, list[str]] = {
    "seal": ["seal", "in", "again", *SEALING],
    "verify": ["verify", "in", "--signers", "keys/signer.pub"],
    "extract": ["extract", "in", *OPENING],
    "restore": ["restore", "in", "back", *OPENING],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """keys/, and in/ with one small image."""
    keys.generate(tmp_path / "keys")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good").write_bytes(objects.ct(rows=64, columns=64))
    return tmp_path


def lines_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """Name -> line."""
    return {Path(line["path"]).name: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_is_no_file_is_a_line_and_the_rest_goes_on(folder: Path, name: str) -> None:
    given = folder / "in"
    os.mkfifo(given / "fifo")
    (given / "to-device").symlink_to("/dev/zero")
    (given / "to-key").symlink_to(folder / "keys" / "signer.key")
    (given / "dangling").symlink_to(folder / "nowhere")
    (given / "loop").symlink_to(given)
    (given / "folder").mkdir()
    (given / "folder" / "up").symlink_to("..")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(given / "socket"))
    done = sealgate([*COMMANDS[name], "--json"], folder)
    assert done.returncode == Exit.FINDINGS, done.stderr
    found = lines_of(done)
    bad = {"fifo", "to-device", "to-key", "dangling", "loop", "up", "socket"}
    assert set(found) == {*bad, "good"}
    for each in bad:
        line = found[each]
        detail = line["checks"][0]["detail"] if name == "verify" else line["detail"]
        assert ("link" in detail) != (each in {"fifo", "socket"}), line
        assert f"{each}: {detail}" in done.stderr
    assert "not-a-file" not in json.dumps(found["good"])
    for out in ("again", "back"):
        written = [path for path in (folder / out).rglob("*") if not path.is_dir()]
        assert {path.name for path in written} <= {"good", "good.not-restored"}


def test_a_file_named_on_the_command_line_may_be_a_link_but_no_fifo(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "in" / "good")
    os.mkfifo(folder / "fifo")
    assert lines_of(sealgate(["verify", "link", "--json"], folder))["link"]["verdict"] == "unsealed"
    refused = sealgate(["verify", "fifo"], folder)
    assert (refused.returncode, "it is a FIFO" in refused.stderr) == (Exit.FINDINGS, True)


def test_outputs_and_their_folders_are_open_to_nobody_to_whom_the_inputs_are_not(folder: Path) -> None:
    given = folder / "in"
    (given / "private").mkdir(mode=0o700)
    for name, mode in (("good", 0o604), ("private/own", 0o644), ("private/text", 0o400)):
        (given / name).write_bytes((given / "good").read_bytes() if name != "private/text" else b"text")
        (given / name).chmod(mode)
    given.chmod(0o750)
    before = os.umask(0)
    try:
        assert sealgate(["seal", "in", "out", *SEALING], folder).returncode == Exit.FINDINGS
    finally:
        os.umask(before)
    names = (".", "good", "private", "private/own", "private/text")
    modes = {name: stat.S_IMODE((folder / "out" / name).stat().st_mode) for name in names}
    assert modes == {".": 0o750, "good": 0o604, "private": 0o700, "private/own": 0o644, "private/text": 0o600}


def test_no_output_goes_over_a_link_and_none_replaces_one(folder: Path) -> None:
    (folder / "in" / "deep").mkdir()
    (folder / "in" / "deep" / "image").write_bytes((folder / "in" / "good").read_bytes())
    (folder / "in" / "last").write_bytes((folder / "in" / "good").read_bytes())
    (folder / "elsewhere").mkdir()
    (folder / "victim").write_bytes(b"untouched")
    (folder / "out").mkdir()
    (folder / "out" / "deep").symlink_to(folder / "elsewhere")
    (folder / "out" / "good").symlink_to(folder / "victim")
    done = sealgate(["seal", "in", "out", *SEALING, "--json"], folder)
    assert done.returncode == Exit.FINDINGS, done.stderr
    found = lines_of(done)
    assert [found[name]["reason"] for name in ("image", "good")] == ["output-refused"] * 2
    assert found["last"]["level"] == "full"
    assert list((folder / "elsewhere").iterdir()) == []
    assert (folder / "victim").read_bytes() == b"untouched"
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["deep", "good", "last"]


def test_a_device_is_not_replaced_by_an_output(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    done = sealgate(["seal", "in/good", "fifo", *SEALING], folder)
    assert (done.returncode, "is a FIFO" in done.stderr) == (Exit.FINDINGS, True)
    assert stat.S_ISFIFO((folder / "fifo").lstat().st_mode)


def test_a_folder_that_is_made_a_link_while_the_command_runs_leads_nowhere(folder: Path) -> None:
    (folder / "in" / "deep").mkdir()
    (folder / "in" / "deep" / "key").write_bytes(b"an image, as it seems")
    items = {item.source.name: item for item in inputs_and_outputs(folder / "in", folder / "out")}
    (folder / "in" / "deep").rename(folder / "aside")
    (folder / "in" / "deep").symlink_to(folder / "aside")
    with pytest.raises(GatewayError, match="link"), opened_input(items["key"], 1 << 30):
        pass
    (folder / "in" / "good").unlink()
    (folder / "in" / "good").symlink_to(folder / "keys" / "signer.key")
    with pytest.raises(GatewayError, match="link"), opened_input(items["good"], 1 << 30):
        pass


def test_a_file_that_disappears_and_one_that_the_spool_encrypted_are_lines(folder: Path) -> None:
    (folder / "in" / "from-spool").write_bytes(b"SEALGATE-SPOOL-1" + bytes(100))
    (folder / "in" / f"{'0' * 32}-{'0' * 64}.dcm").write_bytes(b"another object than its name says")
    done = sealgate(["verify", "in", "--json"], folder)
    assert done.returncode == Exit.FINDINGS, done.stderr
    assert [line["verdict"] for line in lines_of(done).values()].count("unreadable") == 2
    assert len(lines_of(done)) == 3
    items = inputs_and_outputs(folder / "in", folder / "out")
    (folder / "in" / "good").unlink()
    with pytest.raises(FileNotFoundError), opened_input(items[-1], 1 << 30):
        pass


def test_an_output_that_would_replace_an_input_further_down_is_refused(folder: Path) -> None:
    (folder / "in" / "in").mkdir()
    (folder / "in" / "in" / "good").write_bytes(b"x")
    with pytest.raises(UsageError, match="replace an input"):
        inputs_and_outputs(folder / "in", folder)


def test_what_is_not_restored_never_takes_the_name_of_another_file(folder: Path) -> None:
    for name in ("a", "a.not-restored", "b"):
        (folder / "in" / name).write_bytes(name.encode())
    items = inputs_and_outputs(folder / "in", folder / "out", aside=".not-restored")
    outputs = [path for item in items for path in (item.target, item.aside)]
    assert len(set(outputs)) == len(outputs) == 8
    for item in items:
        write_output(item, item.source.read_bytes(), aside=True)
        assert item.aside is not None and item.aside.read_bytes() == item.source.read_bytes()


def test_a_folder_that_can_not_be_listed_is_a_line(folder: Path) -> None:
    """Its path is longer than the system takes (PATH_MAX): that holds for every user, root too."""
    descriptor, name = os.open(folder / "in", os.O_RDONLY), "d" * 250
    for _ in range(17):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    done = sealgate(["verify", "in", "--json"], folder)
    assert done.returncode == Exit.FINDINGS, done.stderr
    assert lines_of(done)["good"]["verdict"] == "unsealed"
    assert "can't be listed" in lines_of(done)[name]["checks"][0]["detail"]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_name_steers_the_terminal_or_forges_a_line(folder: Path, name: str) -> None:
    """Names of files and patients with every kind of character that is not to be seen, and bytes that are no text."""
    given = folder / "in"
    patient = objects.ct(
        rows=64, columns=64, PatientName="Evil^" + "".join(STEERING[2:]), PatientID="a\u202eb"
    )
    for number, character in enumerate(STEERING):
        (given / f"{number}{character}{FORGED}").write_bytes(patient if number == 0 else b"text")
    (given / os.fsdecode(b"bytes-\xff\xfe")).write_bytes(b"text")
    (given / "link\nintact forged").symlink_to("nowhere")
    worked_on, arguments = "in", COMMANDS[name]
    if name != "seal":
        assert sealgate(["seal", "in", "sealed", *SEALING], folder).returncode == Exit.FINDINGS
        worked_on, arguments = "sealed", [word if word != "in" else "sealed" for word in COMMANDS[name]]
    done = sealgate(arguments, folder)
    assert done.returncode == Exit.FINDINGS, done.stderr
    for line in [*done.stdout.split("\n"), *done.stderr.split("\n")]:
        assert printable(line) == line
        assert not line.startswith("intact  ") or f" {worked_on}/" in line
    assert done.stdout.count("\n") == len(list((folder / worked_on).iterdir()))


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", f"no\n{FORGED}"],
        [f"--no\n{FORGED}"],
        ["verify", "in", f"more\n{FORGED}"],
        ["seal", "in", "out", "--recipient", "keys/signer.pub", "--signer", f"\x1b[2J\n{FORGED}"],
        ["check", "--config", "bad\n.toml"],
        ["keys", "show", f"no\n{FORGED}"],
        ["keys", "new-spool-key", f"new\n{FORGED}"],
        ["keygen", f"new\n{FORGED}"],
        ["token", f"a\n{FORGED}", "--role", "verify"],
    ],
    ids=lambda arguments: arguments[0].split("\n")[0],
)
def test_no_argument_that_is_quoted_forges_a_line(folder: Path, arguments: list[str]) -> None:
    (folder / "bad\n.toml").write_text('[gateway]\n"a\\nintact  x" = 1\n')
    done = sealgate(arguments, folder)
    for line in [*done.stdout.split("\n"), *done.stderr.split("\n")]:
        assert printable(line) == line
        assert not line.lstrip().startswith("intact  ")


def test_nothing_unseen_is_printable() -> None:
    unseen = [
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    ]
    assert set(STEERING) - {"\x1b[2J"} <= set(unseen)
    for character in unseen:
        assert printable(character).isascii() and printable(character).isprintable()


@dataclass(frozen=True)
class Foreign:
    """What a file holds, and what it is called."""

    content: bytes
    kind: str


FOREIGN = {
    "png": Foreign(b"\x89PNG\r\n\x1a\n" + bytes(300), "a PNG image, not DICOM"),
    "jpeg": Foreign(b"\xff\xd8\xff\xe0" + bytes(300), "a JPEG image, not DICOM"),
    "zip": Foreign(b"PK\x03\x04" + bytes(300), "a zip archive, not DICOM"),
    "text": Foreign("Grüße aus der Röntgenabteilung".encode() * 30, "a text file, not DICOM"),
    "pdf": Foreign(b"%PDF-1.7\n" + bytes(300), "a PDF document, not DICOM"),
    "key": Foreign(
        b"-----BEGIN PRIVATE KEY-----\nx\n", "a PEM file, such as a key or a certificate, not DICOM"
    ),
    "tar": Foreign(b"name".ljust(257, b"\0") + b"ustar\x0000" + bytes(249), "a tar archive, not DICOM"),
    "empty": Foreign(b"", "an empty file, not DICOM"),
    "zeros": Foreign(bytes(300), "a file of zeros, not DICOM"),
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_foreign_file_is_called_what_it_is(folder: Path, name: str) -> None:
    for file, foreign in FOREIGN.items():
        (folder / "in" / file).write_bytes(foreign.content)
    done = sealgate([*COMMANDS[name], "--json"], folder)
    assert done.returncode == Exit.FINDINGS, done.stderr
    found = lines_of(done)
    for file, foreign in FOREIGN.items():
        line = found[file]
        detail = line["checks"][0]["detail"] if name == "verify" else line["detail"]
        assert detail.endswith(foreign.kind), line
    prose = sealgate(COMMANDS[name], folder)
    assert all(foreign.kind in prose.stdout + prose.stderr for foreign in FOREIGN.values())


def test_a_preamble_of_another_format_does_not_make_an_object_foreign() -> None:
    """PS3.10 7.1 and WG-26: files that are TIFF and DICOM at once."""
    data = objects.ct(rows=64, columns=64)
    assert read(b"II*\0" + data[4:]).elements == read(data).elements


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["seal", "in", "out", "--recipient", "keys/recipient.pub", "--signer", "keys/signer.pub"],
         "keys/signer.pub is a public key; the private one is wanted (signer.key)"),
        (["seal", "in", "out", "--recipient", "keys/recipient.key", "--signer", "keys/signer.key"],
         "keys/recipient.key is a private key; the public one is wanted (recipient.pub)"),
        (["seal", "in", "out", "--recipient", "keys/signer.pub", "--signer", "keys/signer.key"],
         "keys/signer.pub is a signer's key; the recipient's is wanted"),
        (["seal", "in", "out", "--recipient", "keys/recipient.pub", "--signer", "keys/recipient.key"],
         "keys/recipient.key is a recipient's key; the signer's is wanted"),
        (["verify", "in", "--signers", "keys/signer.key"],
         "keys/signer.key is a private key; the public one is wanted (signer.pub)"),
        (["extract", "in", "--recipient-key", "keys/recipient.pub"],
         "keys/recipient.pub is a public key; the private one is wanted (recipient.key)"),
        (["extract", "in", "--recipient-key", "keys/signer.key"],
         "keys/signer.key is a signer's key; the recipient's is wanted"),
    ],
)  # fmt: skip
def test_a_key_in_the_place_of_another_is_called_what_it_is(
    folder: Path, arguments: list[str], says: str
) -> None:
    done = sealgate(arguments, folder)
    assert (done.returncode, says in done.stderr) == (Exit.USAGE, True), done.stderr
    assert "chmod" not in done.stderr


@cache
def bomb(size: int) -> bytes:
    """A deflated object whose data set has so many bytes."""
    data = objects.ct(rows=64, columns=64)
    file = read(data)
    body = bytes(file.body[:])
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    prefix = file.with_body(b"", DEFLATED, file.encoding).prefix
    deflated = bytearray(engine.compress(body))
    deflated += engine.compress(b"\xfd\x7f\x10\x00OB\0\0" + size.to_bytes(4, "little"))
    zeros = bytes(1 << 20)
    for _ in range(size >> 20):
        deflated += engine.compress(zeros)
    return prefix + bytes(deflated + engine.flush())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_deflated_file_that_would_fill_memory_is_refused_before_it_does(folder: Path, name: str) -> None:
    """Two gigabytes of zeros in two megabytes. The command gets one, so that it would fail if it took them."""
    (folder / "in" / "bomb").write_bytes(bomb(2 << 30))
    done = sealgate([*COMMANDS[name], "--json", "--memory", str(1 << 30)], folder)
    assert done.returncode == Exit.FINDINGS, done.stderr
    found = lines_of(done)
    detail = found["bomb"]["checks"][0]["detail"] if name == "verify" else found["bomb"]["detail"]
    assert detail.startswith(f"its deflated data set would need more than {1 << 27} bytes")
    assert "--memory" in done.stderr
    assert "memory" not in json.dumps(found["good"])


def test_the_limit_of_a_data_set_can_be_raised() -> None:
    data = bomb(32 << 20)
    with pytest.raises(TooMuchMemory):
        check_inflated(data, memory_bytes=128 << 20)
    check_inflated(data, memory_bytes=1 << 30)
    check_inflated(data[:-100], memory_bytes=1 << 30)
    check_inflated(b"no DICOM", memory_bytes=0)
    assert len(read(data).body) > 32 << 20


def test_a_file_that_takes_too_long_is_a_line(folder: Path) -> None:
    (folder / "in" / "large").write_bytes(objects.ct(rows=2048, columns=2048))
    done = sealgate(["seal", "in/large", "out", *SEALING, "--json", "--timeout", "0.01"], folder)
    assert done.returncode == Exit.FINDINGS, done.stderr
    assert lines_of(done)["large"]["reason"] == "took-too-long"
