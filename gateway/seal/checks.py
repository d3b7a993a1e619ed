"""The checks of FORMAT.md, one method each: they judge the facts of an examination. `gateway.seal.verifying` draws
the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gateway.dicom.image import pixel_format
from gateway.dicom.syntaxes import syntax_of
from gateway.dicom.tags import (
    LOSSY_IMAGE_COMPRESSION,
    LOSSY_METHOD,
    LOSSY_RATIO,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_DATA,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
)
from gateway.errors import ConfigurationError, SealBroken, UnreadableObject, UnsupportedPixels
from gateway.keys import RecipientKey, TrustedSigners
from gateway.keys.trust import moment
from gateway.seal.block import amendment, digest
from gateway.seal.block.amendment import Amendment
from gateway.seal.block.digest import Tile
from gateway.seal.block.statement import Domain, Statement, check_signature
from gateway.seal.examination import Examination
from gateway.seal.findings import CHECKS, Check
from gateway.seal.header import dictionary, received
from gateway.seal.header.canonical import HeaderReading, vr_of
from gateway.seal.header.classes import HeaderClass, HeaderClasses
from gateway.seal.header.received import ReceivedHeader
from gateway.seal.header.showing import inside, shown
from gateway.seal.header.table import HeaderChange
from gateway.seal.opening import envelope_of, open_record
from gateway.seal.record import likeness
from gateway.seal.record.fields import Field, character_set, field, field_of_tag, raw_value, text
from gateway.seal.record.record import Record, same_value
from gateway.seal.tampering import tampering

_CONTENT = {Domain.PIXELS: "pixels", Domain.FRAGMENTS: "fragments", Domain.DATASET: "contents"}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An element that is not the one that was sealed.

    tag: of the element; of a private block its group, shifted left by 16.
    keyword: or the tag as text.
    header_class: what it is about.
    sealed: the value that was sealed; None when only its digest is known.
    header: the value at hand.
    change: what the signed header says; None when only statement or record tell.
    amended: whether a signed amendment covers the difference.
    """

    tag: int
    keyword: str
    header_class: HeaderClass
    sealed: str | None
    header: str
    change: HeaderChange | None = None
    amended: bool = False

    @property
    def counts(self) -> bool:
        """Whether the verdict suffers from it."""
        return not self.amended and self.header_class is not HeaderClass.DESCRIPTION

    def to_json(self) -> dict[str, Any]:
        keys: dict[str, Any] = {
            "class": self.header_class.value,
            "keyword": self.keyword,
            "hidden": self.sealed,
            "sealed": self.sealed,
            "header": self.header,
        }
        if self.change and self.change.frames:
            keys["frames"] = list(self.change.frames)
        if self.amended:
            keys["amended"] = True
        return keys


class Checks:
    """The checks made of one object, and what they found beside their results.

    made: the results, in the order in which the checks were made.
    record: the hidden record, once check 8 opened it.
    tampered_tiles: found by check 5.
    amendments: read by check 12.
    spread: share of the tiles with content that changed, 0 to 1.
    payload_held: whether check 7 held.
    lossy: whether check 5 failed as it does in a copy compressed with loss.
    foreign_payload: whether check 7 found the payload of another sealing, which no compressor writes.
    decoded: whether check 5 held for what the sealed fragments decode to, and not for the fragments.
    """

    def __init__(self, examination: Examination, classes: HeaderClasses) -> None:
        self.examination = examination
        self.classes = classes
        self.made: list[Check] = []
        self.record: Record | None = None
        self.tampered_tiles: tuple[Tile, ...] = ()
        self.spread = 0.0
        self.payload_held = self.foreign_payload = self.lossy = self.decoded = False
        self.amendments: tuple[Amendment, ...] = ()
        self._corrected: dict[int, bytes] = {}
        self._received: ReceivedHeader | None = None
        self._differences: dict[str, Difference] = {}

    @property
    def differences(self) -> list[Difference]:
        """Where the header differs from the sealed one, once for each element at the top level."""
        return list(self._differences.values())

    def header_differences(self) -> tuple[dict[str, Any], ...]:
        """The differences as the report has them: inside sequences too where the header as received is known."""
        shown: list[dict[str, Any]] = []
        for difference in self.differences:
            shown += self._expanded(difference)
        return tuple(shown)

    def check_reading(self) -> bool:
        """(0) Standard readers can read the object in one way only."""
        ambiguity = self.examination.ambiguity
        return self._note(0, not ambiguity, ambiguity or "the file can be read in one way only")

    def check_object(self) -> bool:
        """(1) The object can be parsed, and no element stands in it twice."""
        once = not self.examination.file.repeated
        return self._note(
            1,
            once,
            "the object can be parsed" if once else "elements stand more than once: which one counts?",
        )

    def unreadable(self, error: UnreadableObject) -> None:
        """(1) fails after all: a part of the object that was needed later can't be parsed."""
        self.made[0] = Check(1, CHECKS[1], False, str(error))

    def check_block(self) -> bool:
        """(2) The block is whole: statement, parts and readable elements belong together.

        Raises UnreadableObject when the elements of the block can't be read.
        """
        attestation = self.examination.attestation
        if isinstance(attestation.objection, UnreadableObject):
            raise attestation.objection
        if attestation.objection is not None:
            return self._note(2, False, str(attestation.objection))
        if attestation.block is None:
            return self._note(2, False, "there is no private block")
        return self._note(2, True, "the private block is whole")

    def check_signature(self, trusted: TrustedSigners | None) -> bool | None:
        """(3) A signer we believe made the statement. None when we do not believe the signer, or not for that time."""
        statement, block = self.examination.statement, self.examination.block
        if statement is None or block is None:
            return False
        name = statement.signer_id.hex()
        signer = trusted.find(statement.signer_id) if trusted else None
        if signer is None:
            self._note(3, False, f"signer {name} is not among the trusted ones")
            return None
        try:
            encoded = self.examination.attestation.encoded
            check_signature(encoded, block.signature, signer.public, statement.version)
        except SealBroken as error:
            return self._note(3, False, str(error))
        objection = signer.validity.objection(statement.sealed_at)
        if objection:
            self._note(3, False, f"signed by {name} at {moment(statement.sealed_at)}, {objection}")
            return None
        remark = signer.validity.remark
        return self._note(3, True, f"signed by {name}" + (f"; {remark}" if remark else ""))

    def check_instance(self) -> bool:
        """(4) The statement is about this instance."""
        statement, file = self._statement, self.examination.file
        pairs = {SOP_CLASS_UID: statement.sop_class_uid, SOP_INSTANCE_UID: statement.sop_instance_uid}
        wrong = []
        for tag, stated in pairs.items():
            if file.text(tag) != stated:
                self._differs(tag, stated, file.text(tag))
                wrong.append(dictionary.name_of(tag))
        return self._note(
            4, not wrong, f"differs: {', '.join(wrong)}" if wrong else "the statement names this instance"
        )

    def check_digest(self) -> bool:
        """(5) The content that the digest covers is what was sealed; otherwise which tiles changed."""
        statement, file = self._statement, self.examination.file
        if statement.domain == Domain.DATASET and statement.version > 1:
            return self._check_contents()
        try:
            content_digest = self.examination.content_digest
        except UnsupportedPixels as error:
            return self._note(5, False, f"the {_CONTENT[Domain(statement.domain)]} can't be read: {error}")
        if content_digest == statement.digest:
            return self._note(5, True, f"the {_CONTENT[Domain(statement.domain)]} are those that were sealed")
        if statement.decoded_digest:
            return self._check_decoded(statement)
        if statement.domain == Domain.PIXELS and self.examination.block:
            return self._note(5, False, self._compare_tiles(self.examination.block.tiles, statement))
        changed = "; the transfer syntax changed" if file.transfer_syntax != statement.transfer_syntax else ""
        return self._note(
            5, False, f"the {_CONTENT[Domain(statement.domain)]} are not those that were sealed{changed}"
        )

    def _check_decoded(self, statement: Statement) -> bool:
        """(5) of fragments that were compressed with loss before they were sealed, and are others now."""
        try:
            if self.examination.decoded:
                self.decoded = True
                return self._note(5, True, "the pixels are those that the sealed fragments decode to")
            block = self.examination.block
            compared = self._compare_tiles(block.tiles if block else b"", statement)
        except (UnsupportedPixels, UnreadableObject) as error:
            return self._note(5, False, f"the fragments are not those that were sealed: {error}")
        return self._note(5, False, f"the fragments are not those that were sealed: {compared}")

    def _check_contents(self) -> bool:
        """(5) of an object without pixel data: its contents are elements of the header."""
        if PIXEL_DATA in self.examination.file.index:
            return self._note(5, False, "there is pixel data, and none was sealed")
        wrong = [
            change.name
            for change in self.examination.header_changes
            if self.classes.of_change(change) is HeaderClass.STRUCTURE
        ]
        if wrong:
            return self._note(5, False, f"the contents are not those that were sealed: {', '.join(wrong)}")
        return self._note(5, True, "the contents are those that were sealed")

    def check_amendments(self, trusted: TrustedSigners | None) -> bool:
        """(12) The amendments are signed by signers we believe, and each follows the one before. Check 6 needs them."""
        attestation = self.examination.attestation
        block, table = attestation.block, attestation.table
        if block is None or table is None or not block.amendments:
            return True
        try:
            self.amendments = amendment.read(block.amendments, attestation.encoded, trusted)
            self._corrected = amendment.covered(self.amendments, table)
        except SealBroken as error:
            return self._note(12, False, str(error))
        return self._note(12, True, f"{len(self.amendments)} amendments are signed by trusted signers")

    def check_header(self) -> bool:
        """(6) The header is the one that was sealed, by its keyed digests."""
        if self._statement.version == 1:
            return self._check_identity_fields()
        for change in self.examination.header_changes:
            header_class = self.classes.of_change(change)
            if header_class is not HeaderClass.BOOKKEEPING and not self._follows_decoding(change.tag):
                self._differs(
                    change.tag, None, self._shown(change.tag), change=change, header_class=header_class
                )
        for tag, digest_after in self._corrected.items():
            if digest_after != self.examination.present_table.elements.get(tag, b""):
                # Also where somebody put back what was sealed: a signed correction can't be undone unseen.
                self._differs(tag, None, self._shown(tag))
        wrong = [difference.keyword for difference in self.differences if difference.counts]
        amended = sum(difference.amended for difference in self.differences)
        listed = len(self.differences) - len(wrong) - amended
        detail = f"differs: {', '.join(wrong)}" if wrong else "the header is the one that was sealed"
        detail += f"; {amended} elements are amended" if amended else ""
        return self._note(6, not wrong, detail + (f"; {listed} descriptions differ" if listed else ""))

    def _follows_decoding(self, tag: int) -> bool:
        """Whether this says no more of decoded pixels than that they were compressed with loss, as they were."""
        if not self.decoded:
            return False
        file = self.examination.file
        if tag == PHOTOMETRIC_INTERPRETATION:
            # JPEG decoders turn pixels in colour into RGB (PS3.3 C.7.6.3.1.2).
            from_jpeg = syntax_of(self._statement.transfer_syntax).decoder == "jpeg"
            return from_jpeg and file.text(PHOTOMETRIC_INTERPRETATION) == "RGB"
        told = file.text(LOSSY_IMAGE_COMPRESSION) == "01"
        return told and tag in (LOSSY_IMAGE_COMPRESSION, LOSSY_RATIO, LOSSY_METHOD)

    def _check_identity_fields(self) -> bool:
        """(6) of format version 1."""
        statement, covered = self._statement, self._covered_fields
        if len(covered) != len(statement.header_digests):
            return self._note(6, False, "the statement covers elements that are no fields")
        keywords = [covered_field.keyword for covered_field in covered]
        present = digest.of_header(self.examination.file, keywords, statement.header_salt)
        wrong = [
            covered_field
            for covered_field in covered
            if present[covered_field.tag] != statement.header_digests[covered_field.tag]
        ]
        for wrong_field in wrong:
            self._differs(wrong_field.tag, None, self._field_text(wrong_field))
        names = ", ".join(wrong_field.keyword for wrong_field in wrong)
        return self._note(
            6, not wrong, f"differs: {names}" if wrong else "the identity fields are those that were sealed"
        )

    def explain_loss(self, *, recovered: bool | None) -> None:
        """(5) failed because the object is a copy compressed with loss: say so in its detail.

        recovered: whether the record came out of the pixels; None where none was hidden in them.
        """
        said = (
            ""
            if recovered is None
            else f"; the identity hidden in them was {'' if recovered else 'not '}recovered"
        )
        self.lossy = True
        position = next(position for position, check in enumerate(self.made) if check.n == 5)
        check = self.made[position]
        detail = f"compressed with loss ({check.detail}); the pixels can't be proven any more{said}"
        self.made[position] = replace(check, detail=detail)

    def check_payload(self) -> bool:
        """(7) The payload comes out of the pixels and is the one stated."""
        examination = self.examination
        if examination.payload is None or examination.revealed is None:
            return self._note(7, False, "no payload comes out of the pixels")
        statement = examination.statement
        if statement and not statement.names_payload(examination.revealed.payload):
            self.foreign_payload = True
            return self._note(7, False, "the pixels hold the payload of another sealing")
        self.payload_held = True
        return self._note(7, True, "the payload comes out of the pixels")

    def check_record(self, key: RecipientKey) -> bool:
        """(8) The envelope opens, and the record agrees with the header."""
        examination = self.examination
        closed = examination.envelope
        if closed is None:
            return False
        try:
            self.record = open_record(envelope_of(closed, examination.block), key)
        except SealBroken as error:
            block = examination.block
            if error.check == 7 and block is not None and block.envelope and self.made[-1].n == 7:
                # The payload came out, and what it points to is another one.
                self.made[-1] = Check(7, CHECKS[7], False, str(error))
                return False
            return self._note(8, False, str(error))
        keywords = dict.fromkeys(self.record.values)
        keywords |= dict.fromkeys(covered_field.keyword for covered_field in self._covered_fields)
        wrong = []
        for keyword in keywords:
            recorded = field(keyword)
            if not same_value(self.record, recorded, examination.file):
                self._differs(recorded.tag, self.record.texts().get(keyword, ""), self._field_text(recorded))
                if not self._differences[dictionary.name_of(recorded.tag)].amended:
                    wrong.append(keyword)
        return self._note(
            8, not wrong, f"differs: {', '.join(wrong)}" if wrong else "the record agrees with the header"
        )

    def check_received(self) -> bool:
        """(11) The header as received opens. There must be a record."""
        block = self.examination.block
        if self.record is None or block is None or not block.received:
            return False
        try:
            self._received = received.open_element(block.received, self.record.restore_key)
        except SealBroken as error:
            return self._note(11, False, str(error))
        return self._note(11, True, "the header as received opens")

    def check_likeness(self) -> bool | None:
        """(10) The image shows what the sealed one showed. None when nothing can tell."""
        image, statement = self.examination.image, self.examination.statement
        if self.record is not None and self.record.likeness:
            stored, key = self.record.likeness, self.record.restore_key
        elif statement is not None and statement.likeness:
            stored, key = statement.likeness, statement.header_salt
        else:
            return None
        if image is None:
            return None
        shape, pixels = image
        comparison = likeness.compare(stored, pixels.samples, shape, key)
        share = f"{comparison.disagreeing} of {comparison.decided} decided pairs of blocks disagree"
        return self._note(
            10,
            comparison.alike,
            f"the image is like the sealed one: {share}"
            if comparison.alike
            else f"the image is not like the sealed one: {share}",
        )

    def _note(self, n: int, ok: bool, detail: str) -> bool:
        self.made.append(Check(n, CHECKS[n], ok, detail))
        return ok

    @property
    def _statement(self) -> Statement:
        if self.examination.statement is None:
            raise AssertionError("checks after (2) need a statement")
        return self.examination.statement

    @property
    def _covered_fields(self) -> list[Field]:
        """The identity fields that the statement covers, as far as they are known here."""
        statement = self.examination.statement
        covered = []
        for tag in statement.header_digests if statement else ():
            try:
                covered.append(field_of_tag(tag))
            except ConfigurationError:
                continue
        return covered

    def _compare_tiles(self, tile_digests: bytes, statement: Statement) -> str:
        shape = pixel_format(self.examination.file)
        difference = tampering(self.examination.pieces(shape), shape, tile_digests, statement.tile_edge)
        if difference is None:
            return "the image has another size than the sealed one"
        self.spread, self.tampered_tiles = difference.spread, difference.changed
        return f"{len(difference.changed)} of {difference.total} tiles changed"

    def _field_text(self, identity_field: Field) -> str:
        file = self.examination.file
        return text(raw_value(file, identity_field), identity_field, character_set(file))

    def _shown(self, tag: int) -> str:
        file = self.examination.file
        return shown(file.index.get(tag), HeaderReading.of(file))

    def _differs(
        self,
        tag: int,
        sealed: str | None,
        header: str,
        *,
        change: HeaderChange | None = None,
        header_class: HeaderClass | None = None,
    ) -> None:
        """Remember a difference; a sealed value once known is not forgotten, and neither is what the table knows."""
        name = change.name if change else dictionary.name_of(tag)
        known = self._differences.get(name)
        if header_class is None:
            header_class = self._class_of_field(tag)
        self._differences[name] = Difference(
            tag=tag,
            keyword=name,
            header_class=header_class,
            sealed=known.sealed if sealed is None and known else sealed,
            header=header,
            change=change or (known.change if known else None),
            amended=known.amended if known else self._is_amended(change),
        )

    def _is_amended(self, change: HeaderChange | None) -> bool:
        """Whether the element has the value in which its corrections end."""
        if change is None or change.creator or change.tag not in self._corrected:
            return False
        return self._corrected[change.tag] == self.examination.present_table.elements.get(change.tag, b"")

    def _class_of_field(self, tag: int) -> HeaderClass:
        """Format version 1 has identity fields only, and what it finds is an identity that differs."""
        statement = self.examination.statement
        return HeaderClass.IDENTITY if statement and statement.version == 1 else self.classes.of(tag)

    def _expanded(self, difference: Difference) -> list[dict[str, Any]]:
        """A difference with its value as received, where that is known; for a sequence one for each place inside."""
        plain = difference.to_json()
        if self._received is None or difference.change is None or difference.change.creator:
            return [plain]
        file = self.examination.file
        if difference.tag in self._received.left_out:
            return [plain | {"too_long": True}]
        before = self._received.header()
        old, new = before.index.get(difference.tag), file.index.get(difference.tag)
        old_reading, new_reading = HeaderReading.of(before), HeaderReading.of(file)
        sealed = shown(old, old_reading)
        plain |= {"hidden": sealed, "sealed": sealed}
        if old is None or new is None or vr_of(old, old_reading) != "SQ" or vr_of(new, new_reading) != "SQ":
            return [plain]
        places = inside(old, old_reading, new, new_reading)
        return [
            plain
            | {"path": place.path, "hidden": place.before, "sealed": place.before, "header": place.after}
            for place in places
        ] or [plain]
