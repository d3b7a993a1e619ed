"""A start that can't succeed says why and ends: no traceback, nothing left running, the data folder free."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gateway.commands.demo.process import Process, free_port
from tests.cli.terminal import sealgate
from tests.support.certificates import Authority
from tests.support.gateway import DemoDestination, DemoRoute, RunningGateway, wait_for
from tests.support.vitals import family

ENDS_WITHIN_S = 60.0


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


def gateway(folder: Path, *, destination: str = "", extra: str = "") -> RunningGateway:
    """Not started; its configuration and keys are there."""
    prepared = RunningGateway(
        folder,
        nodes=[DemoDestination(name="pacs", ae_title="PACS", port=free_port(), extra=destination)],
        routes=[DemoRoute(called="SEALGATE", action="seal", to=("pacs",))],
        extra=extra,
        dicom_port=free_port(),
        http_port=free_port(),
    )
    prepared.prepare()
    return prepared


def outcome(
    prepared: RunningGateway, *, wrapper: Sequence[str] = (), **environment: str
) -> tuple[int | None, str]:
    """Exit code and output of `sealgate serve`, which has to end by itself and to leave nothing behind."""
    log = prepared.folder / "serve.log"
    command = [
        *wrapper,
        prepared.python,
        "-m",
        "gateway.commands.main",
        "serve",
        "--config",
        str(prepared.config),
    ]
    process = Process(command, log=log, environment=environment)
    process.start()
    members: set[int] = set()

    def has_ended() -> bool:
        if process.running:
            members.update(family(process.pid))
        return not process.running

    try:
        wait_for(has_ended, what="the end of serve", timeout_s=ENDS_WITHIN_S)
    finally:
        process.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in members), what="the end of workers")
    return process.stop(), log.read_text()


def is_free(data_dir: Path) -> bool:
    with (data_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


@pytest.mark.parametrize("key", ["listener.port", "http.port"])
def test_a_port_that_is_taken_is_named(tmp_path: Path, taken: int, key: str) -> None:
    prepared = gateway(tmp_path)
    variable = "SEALGATE_" + key.upper().replace(".", "__")
    code, text = outcome(prepared, **{variable: str(taken)})
    assert code == 1
    assert f"127.0.0.1:{taken}: Address already in use" in text
    assert f"hint: Change {key.replace('port', 'host')} or {key}." in text
    assert "Traceback" not in text
    assert is_free(tmp_path / "data")


def test_a_tls_port_that_is_taken_is_named_and_the_plain_one_is_given_back(
    tmp_path: Path, taken: int
) -> None:
    issued = Authority(tmp_path).issue("gateway")
    tls = f'[tls]\ncertificate = "{issued.certificate}"\nkey = "{issued.key}"\nport = {taken}\n'
    prepared = gateway(tmp_path, extra=tls)
    code, text = outcome(prepared)
    assert code == 1
    assert f"tls.port: 127.0.0.1:{taken}: Address already in use" in text
    assert "Traceback" not in text
    assert is_free(tmp_path / "data")
    with socket.create_server(("127.0.0.1", prepared.dicom_port)):
        pass


@pytest.mark.parametrize("table", ["listener", "http"])
@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_named(tmp_path: Path, table: str, host: str) -> None:
    prepared = gateway(tmp_path)
    code, text = outcome(
        prepared, **{f"SEALGATE_{table.upper()}__HOST": host, "SEALGATE_HTTP__INSECURE": "true"}
    )
    assert code == 1
    assert f"{host}:" in text
    assert f"hint: Change {table}.host" in text
    assert "Traceback" not in text
    assert is_free(tmp_path / "data")


def test_a_certificate_of_a_destination_that_is_missing_is_named(tmp_path: Path) -> None:
    code, text = outcome(gateway(tmp_path, destination='tls = { ca = "missing.pem" }'))
    assert code == 2
    assert "missing.pem" in text
    assert "Traceback" not in text
    assert is_free(tmp_path / "data")


def _file_instead_of_folder(data: Path) -> None:
    data.write_text("")


def _no_queue(data: Path) -> None:
    data.mkdir()
    (data / "queue.sqlite").write_text(
        "this is no database, whatever its name says; it is long enough to be read"
    )


def _folder_instead_of_key(data: Path) -> None:
    (data / "pseudonym.key").mkdir(parents=True)


def _folder_among_drafts(data: Path) -> None:
    (data / "spool" / "tmp" / "draft").mkdir(parents=True)


@pytest.mark.parametrize(
    "spoil", [_file_instead_of_folder, _no_queue, _folder_instead_of_key, _folder_among_drafts]
)
def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    prepared = gateway(tmp_path)
    spoil(tmp_path / "data")
    code, text = outcome(prepared)
    assert code == 1
    assert str(tmp_path / "data") in text
    assert "hint: " in text
    assert "Traceback" not in text


# Root may read and write whatever the rights say; without these capabilities it is a user like others.
LIKE_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ()


@pytest.mark.parametrize("name", ["queue.sqlite", "pseudonym.key", "quarantine", "spool/00"])
def test_a_part_of_the_data_folder_that_may_not_be_used_is_named_with_its_owner(
    tmp_path: Path, name: str
) -> None:
    prepared = gateway(tmp_path)
    data = tmp_path / "data"
    (data / "quarantine").mkdir(parents=True)
    (data / "spool" / "00").mkdir(parents=True)
    for file in ("queue.sqlite", "pseudonym.key"):
        (data / file).touch()
    (data / name).chmod(0o400)
    code, text = outcome(prepared, wrapper=LIKE_OTHERS)
    assert code == 1
    assert f"{data / name} ({getpass.getuser()}'s) can't be read and written" in text
    assert f"chown -R USER {data}" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("queue list", 2),
        ("queue list --study 1.2.3", 2),
        ("queue show 1", 2),
        ("queue destinations", 2),
        ("queue pause pacs", 2),
        ("queue retry 1", 2),
        ("quarantine list", 0),
        ("quarantine show 00", 2),
        ("quarantine release 00", 2),
        ("backup copy", 2),
        ("check", 0),
    ],
)
def test_commands_before_the_first_start_make_nothing(tmp_path: Path, words: str, code: int) -> None:
    prepared = gateway(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = sealgate([*words.split(), "--config", str(prepared.config)], tmp_path)
    assert done.returncode == code, done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert "Traceback" not in done.stderr
    if words.startswith("queue"):
        assert "holds no queue" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_check_names_what_belongs_to_another_user_than_the_data_folder(tmp_path: Path) -> None:
    prepared = gateway(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    (data / "queue.sqlite").touch()
    os.chown(data, 65534, 65534)
    done = sealgate(["check", "--config", str(prepared.config), "--json"], tmp_path)
    assert done.returncode == 3
    (line,) = [json.loads(text) for text in done.stdout.splitlines()]
    assert (line["data_dir"], line["ok"], line["reason"]) == (str(data), False, "rights")
    assert line["problem"].startswith(f"{data / 'queue.sqlite'} is root's, {data} is ")
    assert "chown -R" in done.stderr
