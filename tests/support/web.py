"""The HTTP interface on a real socket, and an identity provider that publishes its keys on another."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.config.http import TOKEN_CHARS_MIN, HttpSettings, Role, Token
from gateway.errors import WorkerDied
from gateway.observe.access_log import FILE_NAME, AccessLog
from gateway.observe.pseudonyms import Pseudonyms
from gateway.seal.findings import Report, Verdict
from gateway.spool.quarantine import Quarantine
from gateway.web.api import application
from gateway.web.backend import Backend
from gateway.web.records import Records
from gateway.web.server import WebServer

ISSUER, AUDIENCE = "https://identity.example/realms/hospital", "sealgate"


def report_of(data: bytes) -> Report:
    """Takes the place of verification. The level holds the number of bytes, so that reports can be told apart."""
    if data == b"deadly":
        raise WorkerDied("the worker process ended")
    return Report(sop_instance_uid="1.2.3", verdict=Verdict.INTACT, level=str(len(data)))


def backend(folder: Path, **parts: Any) -> Backend:
    """A gateway that has no recipient key; its audit log is in `folder`."""
    records = Records(
        opener=lambda: None,
        amender=lambda: None,
        pseudonyms=Pseudonyms.load(folder),
        log=AccessLog(folder),
        quarantine=Quarantine(folder),
    )
    defaults = Backend(
        verify=report_of,
        problems=list,
        exposition=lambda: b"sealgate_x 1\n",
        records=records,
        jobs=lambda _limit: [],
        reload=lambda: None,
    )
    return replace(defaults, **parts)


@contextmanager
def serving(settings: HttpSettings, parts: Backend) -> Iterator[str]:
    """The URL of a running server; `settings` need port 0."""
    server = WebServer(application(lambda: settings, parts), settings)
    port = server.start()
    try:
        yield f"{'https' if settings.tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.stop()


def token(name: str, text: str, *roles: Role) -> Token:
    """text: the token that `bearer` sends for the same text."""
    return Token(name=name, roles=roles, sha256=hashlib.sha256(long(text).encode()).hexdigest())


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {long(text)}"}


def long(text: str) -> str:
    """A token that is long enough, and can be told apart by its beginning."""
    return text.ljust(TOKEN_CHARS_MIN, "-")


def audit_lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / FILE_NAME
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class IdentityProvider:
    """keys: key id -> private key. answers: how often the keys were asked for. redirect: to where, instead."""

    keys: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    answers: int = 0
    redirect: str | None = None

    def jwks(self) -> dict[str, Any]:
        found = []
        for key_id, key in self.keys.items():
            kind = (
                jwt.algorithms.RSAAlgorithm
                if isinstance(key, rsa.RSAPrivateKey)
                else jwt.algorithms.ECAlgorithm
            )
            found.append({**kind.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig"})
        return {"keys": found}

    def token(self, key_id: str = "rsa-1", **changed: Any) -> str:
        """A good token, but for the claims that are changed (None: left out)."""
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "dr-house", "iat": now, "exp": now + 60, "roles": ["readers"],
        } | changed  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.keys[key_id]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id})

    def make_key(self, key_id: str) -> None:
        elliptic = key_id.startswith("ec")
        self.keys[key_id] = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """It answers until the block ends."""
    provider = IdentityProvider()
    provider.make_key("rsa-1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.answers += 1
            body = json.dumps(provider.jwks()).encode()
            if provider.redirect is not None and self.path == "/jwks":
                self.send_response(302)
                self.send_header("Location", provider.redirect)
                body = b""
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Tests look at what the gateway says, not at what this one says."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}/jwks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
