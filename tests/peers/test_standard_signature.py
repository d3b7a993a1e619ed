"""A gateway that signs for strangers: DCMTK verifies what an archive gives back, also after the time stamps ended."""

from __future__ import annotations

from pathlib import Path

from tests.support.dcmtk import run, storescu
from tests.support.gateway import sealing_to, wait_for
from tests.support.objects import ct
from tests.support.orthanc import Orthanc
from tests.support.time_stamp_authority import SigningAuthority, TimeStampAuthority, http_server, replying


def test_dcmsign_verifies_what_the_archive_gives_back_and_objects_do_not_wait_for_stamps(
    tmp_path: Path, orthanc: Orthanc
) -> None:
    authority = SigningAuthority(tmp_path / "authority")
    pair = authority.signer()
    stamping = TimeStampAuthority(tmp_path / "tsa", authority.stamper())
    down: list[str] = []
    first, second = tmp_path / "1.dcm", tmp_path / "2.dcm"
    first.write_bytes(ct(number=1))
    second.write_bytes(ct(number=2))
    with http_server(replying(lambda query: b"" if down else stamping.answer(query))) as url:
        extra = f"""
[seal]
standard_signature = {{ key = "{pair.key}", certificate = "{pair.certificate}" }}
time_stamp = {{ url = "{url}", certificates = "{authority.certificate}" }}
"""
        with sealing_to(tmp_path / "gateway", orthanc, extra=extra) as gateway:
            storescu(gateway.dicom_port, [first])
            gateway.until_metric("sealgate_standard_signatures_total", 1, outcome="stamped")
            wait_for(lambda: orthanc.count() == 1, what="the first object in the archive")
            down.append("from now on")
            storescu(gateway.dicom_port, [second])
            gateway.until_metric("sealgate_standard_signatures_total", 1, outcome="unstamped")
            wait_for(lambda: orthanc.count() == 2, what="the second object in the archive")
            gateway.until_logged("no time stamp")
            left_s = gateway.metric("sealgate_certificate_expiry_seconds", certificate="standard signature")
    assert left_s > 0
    said = []
    for data in orthanc.files():
        path = tmp_path / "from the archive.dcm"
        path.write_bytes(data)
        finished = run("dcmsign", ["-v", "+rc", "+cf", str(authority.certificate), str(path)])
        said.append(finished.stdout + finished.stderr)
    assert all("Signature Verification      : OK" in text for text in said)
    assert sum("Timestamp Verification      : OK" in text for text in said) == 1
