"""A time stamp authority for one test, and certificates: OpenSSL makes the stamps, a small HTTP server gives them."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.commands.demo.process import program

Kind = Literal["rsa", "p256", "rsa-1024", "p384"]

_CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class Pair:
    """PEM files of a certificate and its key."""

    certificate: Path
    key: Path


class SigningAuthority:
    """Issues certificates for signatures and time stamps into `folder`."""

    def __init__(self, folder: Path, name: str = "hospital authority", *, key: Path | None = None) -> None:
        """key: of the authority, PEM; None: a new one."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._name = folder, name
        self._key: Any
        self._key = (
            serialization.load_pem_private_key(key.read_bytes(), None) if key is not None else _key("rsa")
        )
        self.certificate = folder / "authority.pem"
        builder = self._builder(name, self._key.public_key(), days=3000, age_days=2000)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        builder = builder.add_extension(_usage(key_cert_sign=True), critical=True)
        self.certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def signer(
        self,
        name: str = "gateway",
        kind: Kind = "rsa",
        *,
        days: float = 3000,
        age_days: float = 2000,
        usage: x509.KeyUsage | None = None,
        passphrase: bytes | None = None,
        key: Path | None = None,
    ) -> Pair:
        """A certificate for signatures. days: from now to its end; age_days: since its beginning; key: of another."""
        private = (
            serialization.load_pem_private_key(key.read_bytes(), None) if key is not None else _key(kind)
        )
        builder = self._builder(name, private.public_key(), days=days, age_days=age_days)
        builder = builder.add_extension(usage or _usage(digital_signature=True), critical=True)
        return self._written(name, builder, private, passphrase)

    def stamper(self, name: str = "stamper") -> Pair:
        """A certificate for time stamps (RFC 3161 2.3)."""
        key = _key("rsa")
        builder = self._builder(name, key.public_key(), days=3000, age_days=2000)
        builder = builder.add_extension(_usage(digital_signature=True), critical=True)
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        return self._written(name, builder.add_extension(purpose, critical=True), key, None)

    def _builder(self, name: str, key: Any, *, days: float, age_days: float) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=age_days))
            .not_valid_after(now + timedelta(days=days))
        )

    def _written(
        self, name: str, builder: x509.CertificateBuilder, key: Any, passphrase: bytes | None
    ) -> Pair:
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        pair.certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        pair.key.touch(mode=0o600)
        encryption = (
            serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        )
        pair.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return pair


class TimeStampAuthority:
    """Answers RFC 3161 queries with `openssl ts`, and counts them."""

    def __init__(self, folder: Path, pair: Pair) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._pair, self._lock = folder, pair, threading.Lock()
        self.asked = 0
        (folder / "serial").write_text("01\n")
        (folder / "ts.cnf").write_text(_CONFIGURATION.format(folder=folder))

    def answer(self, query: bytes) -> bytes:
        """TimeStampResp for TimeStampReq, both in DER."""
        with self._lock:
            self.asked += 1
            asked, answered = self._folder / "query.tsq", self._folder / "answer.tsr"
            asked.write_bytes(query)
            command = [
                str(program("openssl", "openssl")), "ts", "-reply", "-queryfile", str(asked),
                "-out", str(answered), "-config", str(self._folder / "ts.cnf"),
                "-signer", str(self._pair.certificate), "-inkey", str(self._pair.key),
            ]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
            return answered.read_bytes()


Handling = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def http_server(handle: Handling) -> Iterator[str]:
    """A server on 127.0.0.1 whose POSTs `handle` answers. Gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, handle))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/tsa"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def replying(answer: Callable[[bytes], bytes], *, status: int = 200) -> Handling:
    """A handling that sends what `answer` makes of the query."""

    def handle(request: BaseHTTPRequestHandler, query: bytes) -> None:
        body = answer(query)
        request.send_response(status)
        request.send_header("Content-Type", "application/timestamp-reply")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return handle


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, handle: Handling, *arguments: Any) -> None:
        self._handle = handle
        super().__init__(*arguments)

    def do_POST(self) -> None:
        self._handle(self, self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test tells what happened."""


def _key(kind: Kind) -> Any:
    if kind == "p256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "p384":
        return ec.generate_private_key(ec.SECP384R1())
    size = 1024 if kind == "rsa-1024" else 2048
    return rsa.generate_private_key(public_exponent=65537, key_size=size)


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=key_cert_sign, crl_sign=key_cert_sign,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


ENCIPHERMENT_ONLY = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=True, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
