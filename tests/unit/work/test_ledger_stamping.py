"""Time stamps of the ledger's checkpoints: asked for when it is time, kept with what they stamp, checked in exports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import LedgerSettings, TimeStampSettings
from gateway.errors import TimeStampFailed
from gateway.keys import CertificateTrust, TrustedSigner, load_certificates
from gateway.ledger.checking import check
from gateway.ledger.exporting import export
from gateway.ledger.folder import LedgerFolder
from gateway.ledger.writing import LedgerWriter
from gateway.observe import Metrics, logger
from gateway.queue.sqlite.queue import SqliteQueue
from gateway.runtime.wakeup import Wakeup
from gateway.spool import LocalSpool
from gateway.work.context import WorkContext
from gateway.work.ledger_stamping import LedgerStamper
from tests.peers.test_workers import configured
from tests.support.ledgers import add, entry, sign_now
from tests.support.time_stamp_authority import SigningAuthority, TimeStampAuthority, http_server, replying
from tests.unit.work.test_ledger_keeping import SIGNER

HOURS = 24.0


class Stamped:
    """A ledger, a stamper for it, and an authority that stamps."""

    def __init__(self, folder: Path, url: str, certificates: Path) -> None:
        config = configured(folder)
        data = config.gateway.data_dir
        self.spool, self.metrics = LocalSpool(data), Metrics()
        self.queue = SqliteQueue(data / "queue.sqlite")
        self.ledger, self.now = data / "ledger", 0.0
        settings = LedgerSettings(
            time_stamp=TimeStampSettings(url=url, certificates=certificates), time_stamp_hours=HOURS
        )
        context = WorkContext(config, self.queue, self.spool, self.metrics, logger(), Wakeup(), Wakeup())
        self.stamper = LedgerStamper(settings, context, clock=lambda: self.now, look_s=0.01)

    def grow(self, count: int) -> None:
        add(self.ledger, count, SIGNER)

    def pass_hours(self, hours: float) -> None:
        """So many since the last stamp."""
        last = LedgerFolder(self.ledger).last_stamp()
        assert last is not None
        self.now = last.made_at + hours * 3600


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> SigningAuthority:
    return SigningAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def stamped(tmp_path: Path, authority: SigningAuthority) -> Iterator[Stamped]:
    stamping = TimeStampAuthority(tmp_path / "tsa", authority.stamper())
    with http_server(replying(stamping.answer)) as url:
        made = Stamped(tmp_path / "case", url, authority.certificate)
        yield made
        made.queue.close()


def test_a_checkpoint_is_stamped_when_it_is_time_and_has_news(stamped: Stamped) -> None:
    assert not stamped.stamper.stamp(), "there is no ledger yet"
    stamped.grow(3)
    assert stamped.stamper.stamp()
    assert not stamped.stamper.stamp(), "nothing new"
    stamped.grow(3)
    stamped.pass_hours(HOURS - 1)
    assert not stamped.stamper.stamp(), "too early"
    stamped.pass_hours(HOURS + 1)
    assert stamped.stamper.stamp()
    assert LedgerFolder(stamped.ledger).stamps() == [3, 6]
    assert "sealgate_ledger_stamps_total 2.0" in stamped.metrics.exposition().decode()


def test_the_stamps_of_an_export_are_checked(
    stamped: Stamped, tmp_path: Path, authority: SigningAuthority
) -> None:
    stamped.grow(3)
    stamped.stamper.stamp()
    stamped.grow(300)
    target = tmp_path / "export"
    export(LedgerFolder(stamped.ledger), target)
    signers = [TrustedSigner(SIGNER.public)]
    trust = CertificateTrust(load_certificates(authority.certificate))
    report = check(target, signers=signers, certificates=trust)
    assert report.problems == []
    assert [(stamp["size"], stamp["believed"]) for stamp in report.stamps] == [(3, True)]
    stranger = SigningAuthority(tmp_path / "stranger")
    theirs = CertificateTrust(load_certificates(stranger.certificate))
    assert check(target, signers=signers, certificates=theirs).problems == [
        "stamps/3.tst: of nobody who is trusted"
    ]
    (target / "stamps" / "3.checkpoint").write_bytes((target / "checkpoint").read_bytes())
    assert check(target, signers=signers).problems == ["stamps/3.tst: damaged, or over something else"]


def test_a_ledger_that_was_written_anew_contradicts_its_stamp(stamped: Stamped, tmp_path: Path) -> None:
    """The holder of the key can sign another tree, but gets no stamp of the past for it."""
    stamped.grow(3)
    stamped.stamper.stamp()
    rewritten = tmp_path / "rewritten"
    writer = LedgerWriter(rewritten, gateway_id="gateway")
    writer.append([entry(number + 7000) for number in range(5)])
    sign_now(writer, SIGNER)
    writer.close()
    shutil.copytree(stamped.ledger / "stamps", rewritten / "stamps")
    export(LedgerFolder(rewritten), tmp_path / "export")
    assert check(tmp_path / "export", signers=[TrustedSigner(SIGNER.public)]).problems == [
        "the checkpoint of stamps/3.tst is of other entries: the ledger was rewritten"
    ]


def test_an_authority_that_fails_is_asked_again_and_nothing_is_lost(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    with http_server(replying(lambda _: b"out of order", status=503)) as url:
        stamped = Stamped(tmp_path / "case", url, authority.certificate)
        stamped.grow(3)
        with pytest.raises(TimeStampFailed):
            stamped.stamper.stamp()
        stamped.stamper.start()
        stamped.stamper.stop()
        stamped.stamper.join(60)
        assert not stamped.stamper.is_alive()
    assert LedgerFolder(stamped.ledger).stamps() == []
    stamped.queue.close()
