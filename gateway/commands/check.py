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
from gateway.dimse.requestor import Requestor
from gateway.errors import PeerError
from gateway.tls import Certificate
from gateway.work.keyring import KeyRing, spool_key

EXPIRES_SOON = timedelta(days=30)


@click.command("check")
@options.config_file
@click.option("--echo", is_flag=True, help="C-ECHO every destination.")
@options.json_lines
def command(config_path: Path, echo: bool, as_json: bool) -> None:
    """Validate the configuration, the keys and certificates it names; with --echo, C-ECHO every destination.

    Exit code 2 if the configuration is wrong (every error with its key and a hint), 3 if a destination does
    not answer or a certificate of ours is expired.
    """
    printer = Printer(as_json=as_json)
    settings = config.load(config_path)
    KeyRing.load(settings.keys)
    spool_key(settings)
    own = tls.own_certificates(settings)
    if settings.users.file is not None:
        users.read(settings.users.file)
        if settings.tls.plain:
            printer.prose("users.file: without TLS passwords cross the network in clear (tls.plain = false)")
    routes = len(settings.route)
    printer.prose(f"{config_path}: good ({len(settings.destination)} destinations, {routes} routes)")
    if settings.listener.accept == "any":
        printer.prose('listener.accept = "any": whoever reaches the port may store')
    elif not settings.node:
        printer.prose("no [[node]]: nobody may associate")
    for caution in _cautions(settings):
        printer.prose(caution)
    good = [_valid(name, certificate, printer) for name, certificate in own.items()]
    good += [_echo(destination, printer) for destination in settings.destination] if echo else []
    sys.exit(Exit.OK if all(good) else Exit.FINDINGS)


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
    return cautions


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


def _echo(destination: config.Destination, printer: Printer) -> bool:
    """Print whether the destination answers. False when it does not."""
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    line = {
        "destination": destination.name,
        "ae_title": destination.ae_title,
        "host": destination.host,
        "port": destination.port,
    }
    try:
        took_ms = Requestor(destination, config.Limits(), calling="SEALGATE").echo()
    except PeerError as error:
        text = f"{destination.name}: {where}: {error}"
        printer.outcome(line | {"ok": False, "echo_ms": None, "reason": error.code}, "no answer", text)
        return False
    text = f"{destination.name}: {where} in {took_ms:.0f} ms"
    printer.outcome(line | {"ok": True, "echo_ms": round(took_ms, 1), "reason": None}, "answers", text)
    return True
