"""Whose object it is: patients, examinations, series and instances exchanged."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import generate_uid

from tests.campaigns.tampering.change import ALTERED, MISIDENTIFIED, TAMPERED, Change, Scene
from tests.campaigns.tampering.making import by_archive, edited, element, inserted, removed
from tests.campaigns.tampering.subjects import everything, has, image
from tests.campaigns.tampering.tools import dcmodify, differs
from tests.support.dcmtk import tool

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY = ("StudyInstanceUID", "AccessionNumber", "StudyDate")
SWAPPED = {"PatientID": "SWAPPED-1", "PatientName": "Swapped^Patient"}
EITHER = (*MISIDENTIFIED, *ALTERED)


def _header_of_sibling(scene: Scene, target: Path) -> None:
    """This object's pixels and seal in the other patient's file."""
    dataset, other = dcmread(scene.source), dcmread(scene.sibling)
    _take(dataset, other, (*PATIENT, *STUDY, "SOPInstanceUID", "SeriesInstanceUID"))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(target)


def _patient_of_sibling(scene: Scene, target: Path) -> None:
    dataset = dcmread(scene.source)
    _take(dataset, dcmread(scene.sibling), PATIENT)
    dataset.save_as(target)


def _study_of_sibling(scene: Scene, target: Path) -> None:
    dataset = dcmread(scene.source)
    _take(dataset, dcmread(scene.sibling), STUDY)
    dataset.save_as(target)


def _take(dataset: Dataset, other: Dataset, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        if keyword in other:
            setattr(dataset, keyword, other.get(keyword))


def _new_instance(dataset: Dataset) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()


def _second_id(dataset: Dataset) -> None:
    dataset.OtherPatientIDs = ["OTHER-2"]


def _new_study(dataset: Dataset) -> None:
    dataset.StudyInstanceUID = generate_uid()


def _new_series(dataset: Dataset) -> None:
    dataset.SeriesInstanceUID = generate_uid()


CHANGES: tuple[Change, ...] = (
    element(
        "patient-name",
        "identity",
        "puts another name on the image",
        "PatientName",
        "Somebody^Else",
        expected=MISIDENTIFIED,
    ),
    element(
        "patient-id",
        "identity",
        "files it under another patient",
        "PatientID",
        "OTHER-1",
        expected=MISIDENTIFIED,
    ),
    element(
        "patient-birth-date",
        "identity",
        "makes the patient another one of the same name",
        "PatientBirthDate",
        "19010203",
        expected=MISIDENTIFIED,
    ),
    element(
        "patient-sex",
        "identity",
        "changes the sex, and the norms with it",
        "PatientSex",
        "O",
        expected=MISIDENTIFIED,
    ),
    inserted(
        "patient-id-issuer",
        "identity",
        "says another hospital issued the id",
        "IssuerOfPatientID",
        "ELSEWHERE",
        expected=MISIDENTIFIED,
        applies=has("PatientID"),
    ),
    edited(
        "patient-other-ids",
        "identity",
        "adds a second id, under which it is found too",
        _second_id,
        "OtherPatientIDs",
        applies=has("PatientID"),
        expected=MISIDENTIFIED,
    ),
    removed("patient-id-removed", "identity", "takes the id out", "PatientID", expected=MISIDENTIFIED),
    Change(
        name="patient-swap",
        group="identity",
        person="exchanges the patients of two images: the whole patient module of the other one",
        tool="pydicom",
        applies=has("PatientID"),
        apply=_patient_of_sibling,
        proof=differs("PatientID"),
        expected=MISIDENTIFIED,
        names=("PatientID",),
    ),
    by_archive(
        "patient-swap-in-archive",
        "identity",
        "moves the image to another patient with the archive's own function",
        SWAPPED,
        expected=MISIDENTIFIED,
        applies=has("PatientID", "PatientName"),
    ),
    Change(
        name="patient-replaced-by-gdcm",
        group="identity",
        person="replaces the id with a de-identification tool",
        tool="gdcmanon",
        applies=has("PatientID"),
        apply=lambda scene, target: tool(
            "gdcmanon", "--dumb", "--replace", "10,20,GDCM-1", "-i", scene.source, "-o", target
        ),
        proof=differs("PatientID"),
        expected=MISIDENTIFIED,
        names=("PatientID",),
    ),
    Change(
        name="study-swap",
        group="identity",
        person="files it in another examination",
        tool="pydicom",
        applies=has("StudyInstanceUID"),
        apply=_study_of_sibling,
        proof=differs("StudyInstanceUID"),
        expected=MISIDENTIFIED,
        names=("StudyInstanceUID",),
    ),
    Change(
        name="header-swap",
        group="identity",
        person="puts these pixels, with their seal, into another patient's file",
        tool="pydicom",
        applies=has("PatientID", "StudyInstanceUID"),
        apply=_header_of_sibling,
        proof=differs("SOPInstanceUID", "PatientID"),
        expected=(*MISIDENTIFIED, *TAMPERED),
        names=("SOPInstanceUID", "PatientID"),
    ),
    edited(
        "study-uid",
        "identity",
        "moves it into a study of its own",
        _new_study,
        "StudyInstanceUID",
        applies=has("StudyInstanceUID"),
        expected=MISIDENTIFIED,
    ),
    element(
        "accession-number",
        "identity",
        "ties it to another order",
        "AccessionNumber",
        "A9999999",
        expected=MISIDENTIFIED,
    ),
    element("study-date", "identity", "dates the examination back", "StudyDate", "19990909", expected=EITHER),
    Change(
        name="instance-uid",
        group="identity",
        person="makes a second instance of the same image",
        tool="dcmodify -gin",
        applies=everything,
        apply=lambda scene, target: dcmodify(scene, target, "-gin"),
        proof=differs("SOPInstanceUID"),
        expected=MISIDENTIFIED,
        names=("SOPInstanceUID",),
    ),
    edited(
        "series-uid",
        "series",
        "moves it into another series",
        _new_series,
        "SeriesInstanceUID",
        applies=has("SeriesInstanceUID"),
    ),
    by_archive(
        "series-move-in-archive",
        "series",
        "moves it into another series with the archive's own function",
        {"SeriesInstanceUID": "1.2.826.0.1.3680043.2.9999.7"},
        expected=ALTERED,
        applies=has("SeriesInstanceUID"),
    ),
    element("series-number", "series", "shuffles series", "SeriesNumber", "977"),
    element(
        "instance-number", "series", "shuffles slices: another place in the stack", "InstanceNumber", "977"
    ),
    element("series-date", "series", "dates a series back", "SeriesDate", "19990909"),
    element("acquisition-date", "series", "dates an acquisition back", "AcquisitionDate", "19990909"),
    element(
        "content-time", "series", "exchanges the times before and after contrast", "ContentTime", "235959"
    ),
    element("study-time", "series", "changes the time of the examination", "StudyTime", "235958"),
    inserted(
        "acquisition-number", "series", "mixes up the phases of a dynamic series", "AcquisitionNumber", "977"
    ),
    element("modality", "series", "passes one modality off as another", "Modality", "OT", expected=EITHER),
    element(
        "manufacturer", "series", "passes off another device as the source", "Manufacturer", "Somebody Else"
    ),
    inserted(
        "device-serial", "series", "passes off another scanner as the source", "DeviceSerialNumber", "0000-X"
    ),
    inserted("body-part", "series", "says another part of the body", "BodyPartExamined", "KNEE"),
    element(
        "image-type",
        "series",
        "passes a derived image off as an original one",
        "ImageType",
        "DERIVED\\SECONDARY",
    ),
    inserted(
        "burned-in", "series", "denies that names are burned in", "BurnedInAnnotation", "NO", applies=image
    ),
    element(
        "sop-class",
        "structure",
        "passes it off as another kind of object",
        "SOPClassUID",
        "1.2.840.10008.5.1.4.1.1.7",
        expected=(*TAMPERED, *MISIDENTIFIED, *ALTERED),
    ),
)
