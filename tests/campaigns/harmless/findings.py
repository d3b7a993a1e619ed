"""Changes by tools that are no harmless ones: the verdict is right, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.campaigns.harmless.trying import Alarm


@dataclass(frozen=True)
class Finding:
    """A change that is none without harm, and how it is told.

    why: for people.
    said: pattern of what verifying says.
    tool, sample, operation: patterns of what it is about.
    loss: only of objects that were compressed with loss before they were sealed.
    """

    why: str
    said: str
    tool: str = ""
    sample: str = ""
    operation: str = ""
    loss: bool = False

    def explains(self, alarm: Alarm) -> bool:
        pairs = ((self.tool, alarm.tool), (self.sample, alarm.sample), (self.operation, alarm.operation))
        matches = all(re.search(pattern, text) for pattern, text in pairs)
        return matches and bool(re.search(self.said, alarm.why)) and (alarm.loss or not self.loss)


FINDINGS = (
    Finding(
        "An object compressed with loss before it was sealed is proven as it was compressed, and as our decoder "
        "decodes it. Where that of the archive comes to other values (GDCM keeps YBR, and so does DCMTK with `+cn`, "
        "and when it compresses anew), or ours decodes nothing, nothing proves them: `lossy` where all of it differs",
        r"5 (compressed with loss \()?the fragments (are not|can't)",
        loss=True,
    ),
    Finding(
        "GDCM writes an implicit object in an explicit syntax with VR UN for standard elements, unless `--use-dict` "
        "is given: viewers that do not look UN up show no name, no window, no spacing (check 0)",
        r"^0 \([0-9A-F]{4},[0-9A-F]{4}\) has (VR UN|another VR than CS)",
        tool="gdcmconv",
    ),
    Finding(
        "GDCM gives an object with UIDs that are not valid, or one compressed with loss that does not say so, new UIDs",
        r"differs: (SOPInstanceUID|StudyInstanceUID)",
        tool="gdcmconv",
        sample="JLSL_08_07|JPEGLSNearLossless|jls_lossy|leadtools-8BitsJpegLossy|JLSN_RGB",
    ),
    Finding(
        "Pixel data in a sequence (an icon, a private sequence) stays in the old transfer syntax when pydicom "
        "decompresses an image: no reader knows how to read it",
        r"^0 the pixel data is not in the form of its transfer syntax",
        tool="pydicom",
        sample="GH133|slicethickness_empty",
    ),
    Finding(
        "DCMTK without new VRs (`-u`) writes OB where a private creator had UN: pydicom no longer finds whose block it "
        "is (check 0)",
        r"^0 \(0019,0010\) is a private creator of another VR than LO",
        tool="dcmconv",
        sample="dcm4che__MR-JPEGLosslessSV1",
    ),
    Finding(
        "pydicom writes a segmentation of one bit as one of eight, and the header says one",
        r"^0 the pixel data has another length",
        tool="pydicom",
        sample="liver_j2k",
    ),
    Finding(
        "DCMTK forgets inside a sequence that values are signed: a Modality LUT that begins at -2048 begins at 63488",
        r"differs: ModalityLUTSequence",
        tool="dcmconv",
    ),
    Finding(
        "GDCM decodes to pixels with another Bits Stored than it was given: a viewer without window shows them "
        "darker",
        r"differs: BitsStored, HighBit",
        tool="gdcmconv",
        operation="--j2k, --raw",
    ),
    Finding(
        "GDCM orders the pixels by planes and says in the header that it did not: any viewer shows another image",
        r"5 \d+ of \d+ tiles changed",
        tool="gdcmconv",
        operation="planar-configuration",
    ),
    Finding(
        "GDCM decodes RLE of more than 8 bits in colour to other values than DCMTK and pydicom do",
        r"^5 compressed with loss",
        tool="gdcmconv",
        sample="rgb_rle_(16|32)bit",
    ),
    Finding(
        "GDCM turns pixels that share chroma (YBR_FULL_422) into others, and writes another photometric interpretation",
        r"5 the fragments are not those",
        tool="gdcmconv",
        sample="(?i)ybr_full_422",
    ),
    Finding(
        "An icon that was compressed as the image is, is encoded anew with it (PS3.5 A.4): the small picture in lists "
        "is not the one that was sealed, and nothing proves that it shows the same. An icon that is gone is listed",
        r"differs: ([\w, ]*, )?IconImageSequence",
        sample="GH133|JPEGwithIcon|slicethickness_empty",
    ),
    Finding(
        "GDCM removes items of the Per-frame Functional Groups Sequence that have no frame",
        r"differs: PerFrameFunctionalGroupsSequence",
        tool="gdcmconv",
    ),
    Finding("GDCM gives the object another SOP class", r"differs: SOPClassUID", tool="gdcmconv"),
    Finding(
        "GDCM compresses more than 8 bits to JPEG streams that neither DCMTK nor this reader decodes",
        r"a compressed frame does not decode",
        tool="gdcmconv",
        operation=r"^JPEG, quality",
    ),
    Finding(
        "GDCM writes pixels of 1 bit and of 32 bits in codecs that do not hold them",
        r"5 the pixels can't be read",
        tool="gdcmconv",
        sample="seg_image|32bit",
    ),
    Finding(
        "pydicom writes 8 bits stored in 16 to RLE that holds one byte of each, and does not decode it either",
        r"a compressed frame does not decode",
        tool="pydicom",
        sample="MR-JPEGLosslessSV1",
    ),
    Finding(
        "DCMTK turns YBR into RGB when it decompresses, which rounds. The verdict is `lossy`",
        r"compressed with loss",
        tool="dcmdjpeg",
        sample="ybr",
    ),
    Finding(
        "Scaled over the whole range that 16 bits could have, an image that uses few of them is black",
        r"10 the image is not like",
        operation="whole range",
        sample="/WG04_NM|/NM/|MR_small",
    ),
    Finding(
        "Pixels of more than 8 bits in OB, or of more than 16, have no one byte order in big endian: converters swap "
        "them in different ways, or not at all (check 0)",
        r"^0 the pixel data has no one byte order",
    ),
    Finding(
        "The object used bits above Bits Stored, for an overlay or against the standard; the encoder dropped or moved "
        "them",
        r"5 the fragments are not those|5 the pixels can't be read: bits above|differs: Overlay",
        sample="0x0F0F|verlay|ovly|mlut_18",
    ),
    Finding(
        "DCMTK's XML rounds numbers in floating point",
        r"(differs|sealed): [\w, ]*(Value|Regions|FloatPixelData)",
        tool="xml2dcm",
    ),
    Finding(
        "DCMTK's XML does not know GB18030 and quotes its bytes one by one: another name",
        r"differs: PatientName",
        tool="xml2dcm",
        sample="chrX2",
    ),
    Finding(
        "A window that cuts off most of an image, burnt into its pixels: it shows something else",
        r"10 the image is not like",
        operation="window 1 applied",
    ),
    Finding(
        "JPEG of a drawing with large even parts changes less than half of it: that is told from painting by nothing",
        r"5 \d+ of \d+ tiles changed",
        operation="^JPEG",
        sample="ExplVR_BigEnd",
    ),
    Finding(
        "DCMTK without its newer VRs writes text of VR UT and UC as bytes (OB): readers do not show it as text",
        r"6 differs",
        tool="dcmconv",
        operation=r" -u$",
    ),
    Finding(
        "A test pattern in which all parts are equally bright on the whole: nothing in it decides the likeness, so "
        "that a compressed copy is told from another image by nothing (check 10)",
        r"10 the image is not like",
        sample="SC_rgb|TestPattern|SC_ybr|ColorTest|TextGBR",
    ),
)


def explained(alarm: Alarm) -> Finding | None:
    return next((finding for finding in FINDINGS if finding.explains(alarm)), None)
