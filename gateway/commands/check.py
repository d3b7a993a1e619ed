"""`sealgate check`: is the configuration good, and does every destination answer?"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gateway import config, tls
from gateway.commands.common import exports, options
from gateway.commands.common.exits import Exit
from gateway.commands.common.printing import Printer
from gateway.dimse import users
from gateway.dimse.own_gateway import leads_here
from gateway.dimse.requestor import Requestor
from gateway.errors import ConfigurationError, GatewayError, ResourceError, TimeStampFailed, UsageError
from gateway.ledger.folder import FOLDER, LedgerFolder
from gateway.observe.pseudonyms import Pseudonyms
from gateway.runtime import rights
from gateway.tls import Certificate
from gateway.work.keyring import KeyRing, spool_key
from gateway.work.time_stamping import TimeStamper

EXPIRES_SOON = timedelta(days=30)


@click.command("check")
@options.config_file
@click.option("--echo", is_flag=True, help="C-ECHO every destination.")
@options.json_lines
def command(config_path: Path, echo: bool, as_json: bool) -> None:
    """Validate the configuration, the keys and certificates it names; with --echo, C-ECHO every destination.

    Exit code 2 if the configuration is wrong (every error with its key and a hint), 3 if a destination does
    not answer, a certificate of ours is expired, the data folder belongs to another user, or the ledger in it is
    not what was signed.
    """
    printer = Printer(as_json=as_json)
    settings = config.load(config_path)
    KeyRing.load(settings.keys, settings.seal.standard_signature)
    stampers = [
        TimeStamper.of(authority)
        for authority in dict.fromkeys((settings.seal.time_stamp, settings.ledger.time_stamp))
        if authority is not None
    ]
    spool_key(settings)
    own = tls.own_certificates(settings)
    if settings.users.file is not None:
        users.read(settings.users.file)
        if settings.tls.plain:
            printer.prose("users.file: without TLS passwords cross the network in clear (tls.plain = false)")
    _refuse_loops(settings)
    routes = len(settings.route)
    printer.prose(f"{config_path}: good ({len(settings.destination)} destinations, {routes} routes)")
    if settings.listener.accept == "any":
        printer.prose('listener.accept = "any": whoever reaches the port may store')
    elif not settings.node:
        printer.prose("no [[node]]: nobody may associate")
    for caution in _cautions(settings):
        printer.prose(caution)
    good = [
        _usable(settings.gateway.data_dir, printer),
        _ledger_is_whole(settings.gateway.data_dir / FOLDER, printer),
    ]
    good += [_valid(name, certificate, printer) for name, certificate in own.items()]
    good += (
        [
            _echo(destination, printer, gateway_id=_gateway_id(settings))
            for destination in settings.destination
        ]
        if echo
        else []
    )
    good += [_stamps(stamper, printer) for stamper in stampers] if echo else []
    sys.exit(Exit.OK if all(good) else Exit.FINDINGS)


def _refuse_loops(settings: config.Config) -> None:
    """Raises ConfigurationError for each destination that leads to this gateway."""
    lines = []
    for number, destination in enumerate(settings.destination):
        key = leads_here(destination, settings)
        if key is not None:
            where = f"{destination.host}:{destination.port}"
            lines.append(
                f"  destination.{number}: {destination.name} ({where}) is this gateway's own {key}: "
                "what is delivered there is kept nowhere"
            )
    if lines:
        raise ConfigurationError(
            "\n".join([f"{settings.source}:", *lines]), hint="Give the address and port of the archive."
        )


def _cautions(settings: config.Config) -> list[str]:
    """Settings that leave something open, or that do not work. Perhaps on purpose."""
    http, cautions = settings.http, exports.cautions(settings)
    may_report = {node.ae_title for node in settings.node if "report" in node.services}
    cautions += [
        f'{archive.name}: no [[node]] {archive.ae_title} has services = "report"; its answers to storage commitment '
        "are taken only on the association of the question"
        for archive in settings.destination
        if archive.commitment and settings.listener.accept != "any" and archive.ae_title not in may_report
    ]
    if http.insecure and http.tls is None:
        cautions.append("http.insecure: tokens and records may cross the network in clear")
    if http.insecure and http.verifies_for_all:
        cautions.append("http.insecure: whoever reaches the port may have objects verified")
    given_roles = {role for token in http.token or () for role in token.roles}
    given_roles |= {role for roles in (http.oidc.roles.values() if http.oidc else ()) for role in roles}
    for role in sorted(given_roles & {"extract", "restore"}):
        if settings.keys.recipient_key is None:
            cautions.append(
                f"http: the role {role} is given, but there is no keys.recipient_key: it opens nothing"
            )
    if "retrieve" in given_roles and settings.retrieve is None:
        cautions.append("http: the role retrieve is given, but there is no [retrieve]: it opens nothing")
    if settings.retrieve is not None and http.retrieves_for_all:
        cautions.append("http: every program on this machine may retrieve over DICOMweb without a token")
    return cautions


def _usable(data_dir: Path, printer: Printer) -> bool:
    """Print what in the data folder the service can't use, or belongs to another user. False when there is any."""
    problems = list(dict.fromkeys([*rights.unusable(data_dir), *rights.of_others(data_dir)]))
    for problem in problems:
        hint = f"  hint: chown -R USER {data_dir}, with the user that runs the gateway"
        line = {"data_dir": str(data_dir), "ok": False, "reason": "rights", "problem": problem}
        printer.outcome(line, "not usable", problem, [hint])
    return not problems


def _ledger_is_whole(path: Path, printer: Printer) -> bool:
    """Print what is wrong with the ledger. False when it can't be read, or is not what was signed last."""
    ledger = LedgerFolder(path)
    if not path.exists():
        return True
    try:
        ledger.check()
    except ResourceError as error:
        line = {"ledger": str(path), "ok": False, "reason": error.code, "problem": str(error)}
        printer.outcome(line, "not usable", f"{path}: {error}", [f"  hint: {error.hint}"])
        return False
    return True


def _valid(name: str, certificate: Certificate, printer: Printer) -> bool:
    """Print how long the certificate is valid. False when it has expired."""
    left = certificate.not_after - datetime.now(UTC)
    word = "expired" if left <= timedelta() else "expires soon" if left < EXPIRES_SOON else "valid"
    until = certificate.not_after.isoformat()
    line = {
        "certificate": name,
        "ok": word != "expired",
        "not_after": until,
        "sha256": certificate.fingerprint,
        "reason": None if word == "valid" else word.replace(" ", "-"),
    }
    printer.outcome(line, word, f"certificate of {name}: until {until}, SHA-256 {certificate.fingerprint}")
    return word != "expired"


def _stamps(stamper: TimeStamper, printer: Printer) -> bool:
    """Print whether the authority gives a time stamp that is believed. False when it does not."""
    line = {"time_stamp": stamper.url}
    try:
        stamper.stamp(b"sealgate check")
    except TimeStampFailed as error:
        text = f"time stamps of {stamper.url}: {error}"
        printer.outcome(line | {"ok": False, "reason": error.code}, "no stamp", text)
        return False
    printer.outcome(line | {"ok": True, "reason": None}, "stamps", f"time stamps of {stamper.url}")
    return True


def _gateway_id(settings: config.Config) -> str:
    """Empty before the first start, and for a user that may not read the key."""
    try:
        return Pseudonyms.existing(settings.gateway.data_dir).gateway_id()
    except UsageError:
        return ""


def _echo(destination: config.Destination, printer: Printer, *, gateway_id: str) -> bool:
    """Print whether the destination answers. False when it does not."""
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    line = {
        "destination": destination.name,
        "ae_title": destination.ae_title,
        "host": destination.host,
        "port": destination.port,
    }
    try:
        took_ms = Requestor(destination, config.Limits(), calling="SEALGATE", gateway_id=gateway_id).echo()
    # Whatever is wrong with one, the others are asked.
    except GatewayError as error:
        text = f"{destination.name}: {where}: {error}"
        notes = [f"  hint: {error.hint}"] if error.hint else []
        printer.outcome(line | {"ok": False, "echo_ms": None, "reason": error.code}, "no answer", text, notes)
        return False
    text = f"{destination.name}: {where} in {took_ms:.0f} ms"
    printer.outcome(line | {"ok": True, "echo_ms": round(took_ms, 1), "reason": None}, "answers", text)
    return True
