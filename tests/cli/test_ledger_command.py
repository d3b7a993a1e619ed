"""`sealgate ledger` and `sealgate verify --ledger`, on a ledger of objects that a gateway's worker sealed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.filereader import dcmread

from gateway import config, keys
from gateway.ledger.folder import FOLDER
from gateway.ledger.writing import LedgerWriter
from gateway.seal.block import private_block
from gateway.spool import LocalSpool
from gateway.work.executor import Executor
from gateway.work.tasks import CheckpointTask, Outcome, SealTask, SignedNote
from tests.cli.terminal import sealgate
from tests.support import objects
from tests.support.data import REPOSITORY

SIZE = 96
SLICES = objects.series(4, size=SIZE)
LOCALIZER = objects.ct(
    rows=SIZE,
    columns=SIZE,
    seed=99,
    StudyInstanceUID=objects.uid("study", 7),
    SeriesInstanceUID=objects.uid("series", "localizer"),
    PatientID="SYN-00007",
)


class Gateway:
    """A data folder, its keys and configuration, and a worker that seals as the service has it done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        keys.generate(folder / "keys")
        text = (REPOSITORY / "deploy" / "sealgate.toml").read_text()
        text = re.sub(r"^data_dir = .*$", 'data_dir = "data"', text, flags=re.MULTILINE)
        (folder / "sealgate.toml").write_text(text)
        settings = config.load(folder / "sealgate.toml")
        self.executor, self.spool = Executor(settings), LocalSpool(settings.gateway.data_dir)
        self.ledger = settings.gateway.data_dir / FOLDER

    def seal(self, data: bytes) -> tuple[bytes, bytes]:
        """The sealed object, and its entry."""
        outcome = self.executor.do(SealTask(object_name=self.spool.put(data)))
        assert isinstance(outcome, Outcome) and outcome.outgoing is not None
        return self.spool.read(outcome.outgoing), outcome.ledger_entry

    def log(self, *entries: bytes) -> None:
        writer = LedgerWriter(self.ledger, gateway_id="gateway")
        writer.append(entries)
        due = writer.due()
        assert due is not None
        note = self.executor.do(CheckpointTask(text=due.text))
        assert isinstance(note, SignedNote)
        writer.keep(note.note, note.verifier_key)
        writer.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """study/: four slices and a localizer, all sealed; old.dcm: the first slice as it was sealed before;

    stray.dcm: a slice of the same series that was never sealed here.
    """
    folder = tmp_path_factory.mktemp("ledger")
    gateway = Gateway(folder)
    old, old_entry = gateway.seal(SLICES[0])
    sealed = [gateway.seal(data) for data in (*SLICES, LOCALIZER)]
    gateway.log(old_entry)
    shutil.copy(gateway.ledger / "checkpoint", folder / "older-checkpoint")
    gateway.log(*(entry for _, entry in sealed))
    (folder / "study").mkdir()
    for number, (data, _) in enumerate(sealed):
        (folder / "study" / f"IM{number}.dcm").write_bytes(data)
    (folder / "old.dcm").write_bytes(old)
    stray, _ = gateway.seal(objects.series(5, size=SIZE)[4])
    (folder / "stray.dcm").write_bytes(stray)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "case"))


def verified(folder: Path, *arguments: str, exit_code: int) -> list[dict[str, Any]]:
    given = ["verify", "--signers", "keys/signer.pub", "--config", "sealgate.toml", "--ledger", "--json"]
    done = sealgate([*given, *arguments], folder)
    assert done.returncode == exit_code, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_whole_study_is_complete_and_each_of_its_objects_the_newest(folder: Path) -> None:
    *files, study = verified(folder, "study", exit_code=0)
    assert [(line["verdict"], line["ledger"]["state"]) for line in files] == [("intact", "newest")] * 5
    assert (study["verdict"], study["missing"], study["foreign"]) == ("complete", [], [])
    assert study["study_instance_uid"] == objects.uid("study", 7)


def test_an_older_sealed_version_that_was_put_back_is_superseded_and_keeps_its_verdict(folder: Path) -> None:
    """Replay: the seal itself is good."""
    shutil.copy(folder / "old.dcm", folder / "study" / "IM0.dcm")
    first, *_, study = verified(folder, "study", exit_code=3)
    assert (first["verdict"], first["ledger"]["state"]) == ("intact", "superseded")
    assert first["ledger"]["newest"]["index"] == 1
    assert study["verdict"] == "complete"
    (alone,) = verified(folder, "old.dcm", exit_code=3)
    assert alone["ledger"]["state"] == "superseded"


def test_people_are_told_in_words(folder: Path) -> None:
    shutil.copy(folder / "old.dcm", folder / "study" / "IM0.dcm")
    (folder / "study" / "IM2.dcm").unlink()
    given = ["verify", "study", "--signers", "keys/signer.pub", "--config", "sealgate.toml", "--ledger"]
    done = sealgate(given, folder)
    assert done.returncode == 3
    assert "superseded: a newer version was sealed on 20" in done.stdout
    assert re.search(r"^incomplete +study \S+ +\(missing 1: [0-9a-f]{16}\)$", done.stdout, re.MULTILINE)


def test_missing_instances_of_a_series_are_named(folder: Path) -> None:
    (folder / "study" / "IM1.dcm").unlink()
    (folder / "study" / "IM3.dcm").unlink()
    *_, study = verified(folder, "study", exit_code=3)
    assert study["verdict"] == "incomplete"
    assert [missing["index"] for missing in study["missing"]] == [2, 4]
    assert {missing["series_instance_uid"] for missing in study["missing"]} == {objects.uid("series", 7)}


def test_a_whole_series_that_is_gone_is_missing_unless_only_series_are_asked_for(folder: Path) -> None:
    (folder / "study" / "IM4.dcm").unlink()
    *_, study = verified(folder, "study", exit_code=3)
    assert [(missing["index"], missing["series_instance_uid"]) for missing in study["missing"]] == [(5, None)]
    *_, study = verified(folder, "study", "--complete", "series", exit_code=0)
    assert study["verdict"] == "complete"


def test_an_instance_of_a_sealed_series_that_was_never_sealed_here_is_foreign(folder: Path) -> None:
    shutil.copy(folder / "stray.dcm", folder / "study" / "stray.dcm")
    *files, study = verified(folder, "study", exit_code=3)
    assert files[-1]["ledger"] == {"state": "unknown"}
    assert (study["verdict"], study["foreign"]) == ("incomplete", ["study/stray.dcm"])


def test_an_object_whose_seal_was_removed_is_told_from_one_that_was_never_sealed(folder: Path) -> None:
    """Without the ledger both are `unsealed`."""
    (folder / "bare.dcm").write_bytes(SLICES[1])
    (folder / "never.dcm").write_bytes(objects.ct(rows=SIZE, columns=SIZE, seed=5))
    (bare,) = verified(folder, "bare.dcm", exit_code=3)
    (never,) = verified(folder, "never.dcm", exit_code=3)
    assert (bare["verdict"], bare["ledger"]["state"]) == ("unsealed", "seal-removed")
    assert (never["verdict"], never["ledger"]) == ("unsealed", {"state": "unknown"})


def test_a_sealed_version_that_the_ledger_never_had_is_told(folder: Path) -> None:
    """As who stole the signer's key would make it."""
    given = ["seal", "again.dcm", "forged.dcm", "--recipient", "keys/recipient.pub"]
    (folder / "again.dcm").write_bytes(SLICES[2])
    assert sealgate([*given, "--signer", "keys/signer.key"], folder).returncode == 0
    (forged,) = verified(folder, "forged.dcm", exit_code=3)
    assert (forged["verdict"], forged["ledger"]["state"]) == ("intact", "not-logged")


def test_files_that_can_not_be_read_are_no_trouble(folder: Path) -> None:
    (folder / "study" / "text.txt").write_bytes(b"no DICOM")
    lines = verified(folder, "study", exit_code=3)
    assert [line["ledger"] for line in lines if line["path"] == "study/text.txt"] == [None]


def test_a_ledger_that_was_changed_is_not_asked(folder: Path) -> None:
    content = bytearray((folder / "data" / "ledger" / "open").read_bytes())
    (folder / "data" / "ledger" / "open").write_bytes(content[:-1])
    done = sealgate(["verify", "study", "--config", "sealgate.toml", "--ledger"], folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "ledger" in done.stderr


def test_without_a_configuration_or_a_ledger_the_command_says_what_it_needs(folder: Path) -> None:
    done = sealgate(["verify", "study", "--ledger"], folder)
    assert (done.returncode, "--config" in done.stderr) == (2, True)
    shutil.rmtree(folder / "data" / "ledger")
    done = sealgate(["ledger", "show", "--config", "sealgate.toml"], folder)
    assert (done.returncode, "there is no ledger" in done.stderr) == (2, True)


def exported(folder: Path) -> dict[str, Any]:
    done = sealgate(["ledger", "export", "export", "--config", "sealgate.toml", "--json"], folder)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert isinstance(line, dict)
    return line


def checked(folder: Path, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    done = sealgate(["ledger", "check", "export", *arguments, "--json"], folder)
    assert done.returncode == exit_code, done.stdout + done.stderr
    line = json.loads(done.stdout)
    assert isinstance(line, dict)
    return line


def test_an_export_is_checked_without_the_gateway(folder: Path) -> None:
    assert exported(folder)["size"] == 6
    shutil.rmtree(folder / "data")
    (folder / "sealgate.toml").unlink()
    report = checked(folder, "--signers", "keys/signer.pub", "--since", "older-checkpoint")
    assert (report["ok"], report["size"], report["trusted"], report["problems"]) == (True, 6, True, [])


@pytest.mark.parametrize(
    ("harm", "options", "says"),
    [
        (lambda export: (export / "tile/0/000.p/6").write_bytes(bytes(192)), [], "entry 0 is another one"),
        (lambda export: (export / "checkpoint").unlink(), [], "checkpoint: missing"),
        (lambda _: None, ["--signers", "other/signer.pub"], "not signed by any of the signers"),
    ],
    ids=["changed", "incomplete", "other key"],
)
def test_what_is_wrong_with_an_export_is_said_in_words(
    folder: Path, harm: Callable[[Path], object], options: list[str], says: str
) -> None:
    keys.generate(folder / "other")
    exported(folder)
    harm(folder / "export")
    assert says in "\n".join(checked(folder, *options, exit_code=3)["problems"])
    done = sealgate(["ledger", "check", "export", *options], folder)
    assert (done.returncode, done.stdout.split()[0]) == (3, "wrong")
    assert says in done.stderr


def test_an_older_checkpoint_that_is_none_is_wrong_usage(folder: Path) -> None:
    exported(folder)
    done = sealgate(["ledger", "check", "export", "--since", "old.dcm"], folder)
    assert done.returncode == 2
    assert "it is no" in done.stderr


def shown(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = sealgate(["ledger", "show", "--config", "sealgate.toml", "--json", *arguments], folder)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_shows_an_instance_a_series_a_study_and_the_whole(folder: Path) -> None:
    instance = str(dcmread(folder / "study" / "IM0.dcm").SOPInstanceUID)
    entries = shown(folder, "--instance", instance)
    assert [(entry["index"], entry["superseded"]) for entry in entries] == [(0, True), (1, False)]
    assert len(shown(folder, "--study", objects.uid("study", 7))) == 6
    assert len(shown(folder, "--series", objects.uid("series", "localizer"))) == 1
    assert shown(folder, "--instance", "1.2.3") == []
    (whole,) = shown(folder)
    assert (whole["entries"], whole["signed"]) == (6, 6)


def test_it_names_what_viewers_show_as_the_digest_of_the_object(folder: Path) -> None:
    dataset = dcmread(folder / "study" / "IM0.dcm")
    block = dataset.private_block(private_block.GROUP, "SEALGATE")
    (entry,) = shown(folder, "--instance", str(dataset.SOPInstanceUID))[1:]
    assert entry["digest"] == block[private_block.DIGEST].value


def test_no_identifier_of_a_patient_is_in_the_ledger_or_in_an_export(folder: Path) -> None:
    exported(folder)
    dataset = dcmread(folder / "study" / "IM0.dcm")
    secrets = [
        str(dataset[name].value).encode()
        for name in (
            "PatientID",
            "AccessionNumber",
            "SOPInstanceUID",
            "StudyInstanceUID",
            "SeriesInstanceUID",
        )
    ]
    for path in [*(folder / "export").rglob("*"), *(folder / "data" / "ledger").rglob("*")]:
        content = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in secrets if secret in content], path


def test_sealgate_check_looks_at_the_ledger(folder: Path) -> None:
    assert sealgate(["check", "--config", "sealgate.toml"], folder).returncode == 0
    (folder / "data" / "ledger" / "open").write_bytes(b"")
    done = sealgate(["check", "--config", "sealgate.toml", "--json"], folder)
    assert done.returncode == 3
    assert [json.loads(line)["reason"] for line in done.stdout.splitlines()] == ["ledger-broken"]
