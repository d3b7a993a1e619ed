"""The viewer's files over HTTP, and where they come from; without the npm registry."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gateway.config.http import HttpSettings, OidcSettings
from gateway.config.viewer import ViewerSettings
from gateway.web.viewer import bundle
from gateway.web.viewer.bundle import ViewerMissing, ViewerNotFetched, WrongArchive
from gateway.web.viewer.site import ViewerSite

OIDC = OidcSettings(
    issuer="https://login.example",
    audience="sealgate",
    jwks_file=Path("keys.json"),
    roles={"x": ("retrieve",)},
)
HASHED = "app.bundle.0123456789abcdef.js"


def archive(folder: Path, files: dict[str, bytes]) -> Path:
    target = folder / "app.tgz"
    with tarfile.open(target, "w:gz") as members:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    return target


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What remains of a small archive that is made like OHIF's."""
    source = archive(
        tmp_path,
        {
            "package/LICENSE": b"MIT",
            "package/README.md": b"of the package",
            "package/dist/index.html": b"<html>OHIF</html>",
            f"package/dist/{HASHED}": b"run();" * 100,
            "package/dist/app.bundle.js.map": b"for debuggers",
            "package/dist/ort/ort.js": b"machine learning",
            "package/dist/assets/icon.png": b"png",
            "package/dist/init-service-worker.js": b"register();",
        },
    )
    monkeypatch.setattr(bundle, "SHA512", bundle.digest_of(source))
    return bundle.fetch(tmp_path / "viewer", source)


def client(folder: Path, *, oidc: OidcSettings | None = None, client_id: str | None = None) -> TestClient:
    settings = ViewerSettings(enabled=True, oidc_client_id=client_id)
    site = ViewerSite(folder, settings=lambda: settings, oidc=lambda: oidc)
    return TestClient(Starlette(routes=site.routes()))


def test_what_nobody_needs_is_left_out(unpacked: Path) -> None:
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert "LICENSE" in names
    assert "assets/icon.png" in names
    assert not any(name.startswith("ort/") or name.endswith(".map") or "README" in name for name in names)


def test_what_is_there_is_not_fetched_again(unpacked: Path) -> None:
    assert bundle.fetch(unpacked.parent, Path("nowhere")) == unpacked


def test_another_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = archive(tmp_path, {"package/dist/index.html": b"evil"})
    with pytest.raises(WrongArchive, match="is not OHIF"):
        bundle.fetch(tmp_path / "viewer", source)
    assert list((tmp_path / "viewer").iterdir()) == []


@pytest.mark.parametrize("name", ["package/dist/../../../evil.js", "package/dist//etc/evil.js"])
def test_an_archive_that_would_write_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = archive(tmp_path, {name: b"evil"})
    monkeypatch.setattr(bundle, "SHA512", bundle.digest_of(source))
    with pytest.raises(WrongArchive):
        bundle.fetch(tmp_path / "viewer", source)
    assert not list(tmp_path.rglob("evil.js"))


def test_a_registry_in_the_clear_is_not_asked(tmp_path: Path) -> None:
    with pytest.raises(ViewerNotFetched, match="https"):
        bundle.fetch(tmp_path, registry="http://registry.example/")


def test_a_registry_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ViewerNotFetched, match="did not give OHIF") as failed:
        bundle.fetch(tmp_path, registry="http://127.0.0.1:9/")
    assert "--archive" in failed.value.hint


def test_a_viewer_that_was_not_fetched_is_named(tmp_path: Path) -> None:
    with pytest.raises(ViewerMissing) as missing:
        client(tmp_path)
    assert "sealgate viewer fetch" in missing.value.hint


def test_pages_of_ohif_are_its_index_and_missing_files_are_missing(unpacked: Path) -> None:
    web = client(unpacked)
    for path in ("/", "/viewer?StudyInstanceUIDs=1.2.3", "/local"):
        assert web.get(path).text == "<html>OHIF</html>"
    assert web.get("/no-such.js").status_code == 404
    assert web.get("/../../etc/passwd.json").status_code == 404
    assert web.get("/%2e%2e/%2e%2e/LICENSE.js").status_code == 404


def test_files_come_compressed_to_those_who_take_it_and_stay_in_the_browser(unpacked: Path) -> None:
    web = client(unpacked)
    packed = web.get(f"/{HASHED}", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "immutable" in packed.headers["cache-control"]
    plain = web.get(f"/{HASHED}", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content == b"run();" * 100
    assert gzip.decompress((unpacked / f"{HASHED}.gz").read_bytes()) == plain.content
    assert web.get("/").headers["cache-control"] == "no-cache"


def test_nothing_is_loaded_from_elsewhere_and_no_worker_is_left_in_the_browser(unpacked: Path) -> None:
    web = client(unpacked)
    answer = web.get("/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "https:" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert web.get("/init-service-worker.js").text == ""


def test_ohif_is_configured_for_our_dicomweb_and_our_extension(unpacked: Path) -> None:
    web = client(unpacked)
    script = web.get("/app-config.js").text
    configuration = json.loads(script.removeprefix("window.config = ").rstrip().removesuffix(";"))
    assert configuration["dataSources"][0]["configuration"]["wadoRoot"] == "/dicom-web"
    (extension,) = configuration["extensions"]
    assert "export default" in web.get(extension).text
    assert "oidc" not in configuration


def test_ohif_logs_in_at_the_identity_provider_of_the_gateway(unpacked: Path) -> None:
    web = client(unpacked, oidc=OIDC, client_id="ohif")
    script = web.get("/app-config.js")
    assert '"client_id": "ohif"' in script.text
    assert (
        "connect-src 'self' data: blob: https://login.example;" in script.headers["content-security-policy"]
    )


def test_off_loopback_the_viewer_needs_a_certificate_and_its_callers_a_token() -> None:
    with pytest.raises(ValueError, match=r"viewer\.tls"):
        ViewerSettings(host="0.0.0.0")
    served = ViewerSettings(host="0.0.0.0", insecure=True).served(HttpSettings())
    assert not served.retrieves_for_all
    assert ViewerSettings().served(HttpSettings()).retrieves_for_all
