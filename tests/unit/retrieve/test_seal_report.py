"""The Seal report: valid objects of the study, the same for the same findings, in plain words without patient data."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from gateway.retrieve import pdf
from gateway.retrieve.findings import ReturnFinding
from gateway.retrieve.lettering import lettered
from gateway.retrieve.plan import Wanted
from gateway.retrieve.seal_report import ENCAPSULATED_PDF, PAGES_MAX, SECONDARY_CAPTURE, reports
from gateway.seal.findings import GOOD, Verdict
from gateway.work.words import WORDS
from tests.support.dcmtk import tool

STUDY = "1.2.840.1"
HEADER = {
    0x00080005: b"ISO_IR 100",
    0x00080020: b"20240229",
    0x00080030: b"1015",
    0x00080050: b"A1",
    0x00100010: "Müller^Élise".encode("latin-1"),
    0x00100020: b"P-1",
    0x00100030: b"19700101",
    0x00100040: b"F",
    0x00200010: b"S1",
}


def finding(number: int, treatment: str = "withhold", reason: str = "tampered") -> ReturnFinding:
    wanted = Wanted(
        study=STUDY,
        series=f"{STUDY}.2",
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        sop_instance=f"{STUDY}.2.{number}",
        series_number="2",
        instance_number=str(number),
    )
    return ReturnFinding(wanted=wanted, treatment=treatment, reason=reason)


def read(findings: list[ReturnFinding]) -> list[Dataset]:
    return [dcmread(io.BytesIO(file)) for file in reports(STUDY, HEADER, findings)]


def text(document: bytes) -> str:
    lines = re.findall(r"^\((.*)\) '$", document.decode("ascii"), re.MULTILINE)
    return re.sub(r"\s+", " ", " ".join(lines)).replace("\\(", "(").replace("\\)", ")")


def test_the_report_lies_in_the_study_in_series_of_its_own() -> None:
    capture, document = read([finding(3)])
    assert (capture.SOPClassUID, document.SOPClassUID) == (SECONDARY_CAPTURE, ENCAPSULATED_PDF)
    for each in (capture, document):
        assert each.StudyInstanceUID == STUDY
        assert str(each.PatientName) == "Müller^Élise"
        assert (each.PatientID, each.AccessionNumber, each.StudyDate) == ("P-1", "A1", "20240229")
        assert each.SeriesDescription == "Seal report"
        assert each.SOPInstanceUID.is_valid
    assert capture.SeriesInstanceUID != document.SeriesInstanceUID
    assert document.EncapsulatedDocument.startswith(b"%PDF-1.4")
    assert (capture.pixel_array > 0).sum() > 1000


def test_the_same_findings_give_the_same_report_and_others_another() -> None:
    findings = [finding(1), finding(2, "mark", "altered")]
    assert reports(STUDY, HEADER, findings) == reports(STUDY, HEADER, findings)
    first, other = read(findings), read([finding(1)])
    assert [each.SeriesInstanceUID for each in first] == [each.SeriesInstanceUID for each in other]
    assert not {each.SOPInstanceUID for each in first} & {each.SOPInstanceUID for each in other}
    assert reports("1.2.840.2", HEADER, findings)[0] != reports(STUDY, HEADER, findings)[0]


def test_it_says_in_words_what_was_done_and_why() -> None:
    findings = [
        replace(finding(7), tiles=2),
        replace(finding(8, "mark", "altered"), keywords=("WindowCenter",)),
    ]
    told = text(read(findings)[-1].EncapsulatedDocument)
    assert "1 object NOT DELIVERED" in told
    assert f"Series 2, image 7: {WORDS['tampered']} (2 parts of the pixels changed)" in told
    assert "1 object DELIVERED WITH A MARK" in told
    assert f"Series 2, image 8: {WORDS['altered']} (changed: WindowCenter)" in told
    assert "audit log" in told


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - GOOD))
def test_every_verdict_that_is_not_good_has_words(verdict: Verdict) -> None:
    assert verdict.value in WORDS


def test_numbers_that_are_none_are_not_printed() -> None:
    wanted = replace(finding(1).wanted, series_number="DOE^JANE", instance_number="")
    assert replace(finding(1), wanted=wanted).place == "Series ?, image ?"


def test_many_findings_are_pages_and_all_are_in_the_pdf() -> None:
    *captures, document = read([finding(number) for number in range(1, 501)])
    assert len(captures) == PAGES_MAX
    assert [each.InstanceNumber for each in captures] == list(range(1, PAGES_MAX + 1))
    told = text(document.EncapsulatedDocument)
    assert all(f"image {number}:" in told for number in range(1, 501))


def test_the_objects_are_valid_ones(tmp_path: Path) -> None:
    for number, file in enumerate(reports(STUDY, HEADER, [finding(1)])):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(file)
        tool("dcmdump", path)
        # It exits with an error where the object is no valid one of its class.
        tool("dciodvfy", path)


def test_a_pdf_has_its_objects_where_its_table_says() -> None:
    data = pdf.document([f"line {number} (a\\b)" for number in range(200)], title="T")
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", data)[1])  # type: ignore[index]
    assert data[start : start + 4] == b"xref"
    offsets = [int(entry) for entry in re.findall(rb"^(\d{10}) 00000 n $", data, re.MULTILINE)]
    for number, offset in enumerate(offsets, 1):
        assert data[offset:].startswith(f"{number} 0 obj\n".encode())
    for content in re.finditer(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", data, re.DOTALL):
        assert len(content[2]) == int(content[1])
    assert b"/Count 4" in data


def test_letters_are_drawn_and_what_is_too_long_is_cut() -> None:
    image = lettered(["A", "?" * 500], columns=100, rows=60, scale=1, margin=4)
    assert image.shape == (60, 100)
    drawn = ["".join("#" if value else " " for value in row) for row in image[4:11, 4:9]]
    assert drawn == ["  #  ", " # # ", "#   #", "#   #", "#####", "#   #", "#   #"]
    assert not image[:, 97:].any()


def test_a_character_without_a_letter_is_a_question_mark() -> None:
    unknown, question_mark = (lettered([text], columns=20, rows=20, scale=1, margin=2) for text in "é?")
    assert question_mark.any()
    assert np.array_equal(unknown, question_mark)
