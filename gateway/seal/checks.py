"""The checks of FORMAT.md, one method each: they judge the facts of an examination. `gateway.seal.verifying` draws
the verdict.
"""

from __future__ import annotations

from gateway.dicom.image import pixel_format
from gateway.dicom.tags import SOP_CLASS_UID, SOP_INSTANCE_UID
from gateway.errors import ConfigurationError, SealBroken, UnreadableObject, UnsupportedPixels
from gateway.keys import RecipientKey, TrustedSigners
from gateway.keys.trust import moment
from gateway.seal.block import digest
from gateway.seal.block.digest import Tile
from gateway.seal.block.statement import Domain, Statement, check_signature
from gateway.seal.examination import Examination
from gateway.seal.findings import CHECKS, Check
from gateway.seal.opening import envelope_of, open_record
from gateway.seal.record import likeness
from gateway.seal.record.fields import Field, character_set, comparable, field, field_of_tag, raw_value, text
from gateway.seal.record.record import Record, same_value
from gateway.seal.tampering import tampering


class Checks:
    """The checks made of one object, and what they found beside their results.

    made: the results, in the order in which the checks were made.
    record: the hidden record, once check 8 opened it.
    tampered_tiles: found by check 5.
    spread: share of the tiles with content that changed, 0 to 1.
    """

    def __init__(self, examination: Examination) -> None:
        self.examination = examination
        self.made: list[Check] = []
        self.record: Record | None = None
        self.tampered_tiles: tuple[Tile, ...] = ()
        self.spread = 0.0
        self._differences: dict[str, dict[str, str | None]] = {}

    @property
    def header_differences(self) -> tuple[dict[str, str | None], ...]:
        return tuple(self._differences.values())

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
            check_signature(self.examination.attestation.encoded, block.signature, signer.public)
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
        pairs = {
            SOP_CLASS_UID: ("SOPClassUID", statement.sop_class_uid),
            SOP_INSTANCE_UID: ("SOPInstanceUID", statement.sop_instance_uid),
        }
        for tag, (keyword, stated) in pairs.items():
            if file.text(tag) != stated:
                self._differs(keyword, stated, file.text(tag))
        wrong = [keyword for keyword, _ in pairs.values() if keyword in self._differences]
        return self._note(
            4, not wrong, f"differs: {', '.join(wrong)}" if wrong else "the statement names this instance"
        )

    def check_digest(self) -> bool:
        """(5) The content that the digest covers is what was sealed; otherwise which tiles changed."""
        statement, file = self._statement, self.examination.file
        try:
            content_digest = self.examination.content_digest
        except UnsupportedPixels as error:
            return self._note(5, False, f"the {statement.domain} can't be read: {error}")
        if content_digest == statement.digest:
            return self._note(5, True, f"the {statement.domain} are those that were sealed")
        if statement.domain == Domain.PIXELS and self.examination.block:
            return self._note(5, False, self._compare_tiles(self.examination.block.tiles, statement))
        changed = "; the transfer syntax changed" if file.transfer_syntax != statement.transfer_syntax else ""
        return self._note(5, False, f"the {statement.domain} are not those that were sealed{changed}")

    def check_header(self) -> bool:
        """(6) The identity fields are those that were sealed, by their keyed digests."""
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
            self._differs(wrong_field.keyword, None, self._shown(wrong_field))
        names = ", ".join(wrong_field.keyword for wrong_field in wrong)
        return self._note(
            6, not wrong, f"differs: {names}" if wrong else "the identity fields are those that were sealed"
        )

    def check_payload(self) -> bool:
        """(7) The payload comes out of the pixels and is the one stated."""
        examination = self.examination
        if examination.payload is None or examination.revealed is None:
            return self._note(7, False, "no payload comes out of the pixels")
        statement = examination.statement
        if statement and not statement.names_payload(examination.revealed.payload):
            return self._note(7, False, "the pixels hold the payload of another sealing")
        return self._note(7, True, "the payload comes out of the pixels")

    def check_record(self, key: RecipientKey) -> bool:
        """(8) The envelope opens, and the record agrees with the header."""
        if self.examination.payload is None:
            return False
        try:
            self.record = open_record(envelope_of(self.examination.payload, self.examination.block), key)
        except SealBroken as error:
            return self._note(8, False, str(error))
        keywords = dict.fromkeys(self.record.values)
        keywords |= dict.fromkeys(covered_field.keyword for covered_field in self._covered_fields)
        wrong = []
        for keyword in keywords:
            recorded = field(keyword)
            header = self._shown(recorded)
            if not same_value(self.record, recorded, comparable(header, recorded)):
                self._differs(keyword, self.record.texts().get(keyword, ""), header)
                wrong.append(keyword)
        return self._note(
            8, not wrong, f"differs: {', '.join(wrong)}" if wrong else "the record agrees with the header"
        )

    def check_likeness(self) -> bool | None:
        """(10) The image shows what the sealed one showed. None when the record or the pixels can't tell."""
        image = self.examination.image
        if self.record is None or not self.record.likeness or image is None:
            return None
        shape, pixels = image
        comparison = likeness.compare(self.record.likeness, pixels.samples, shape, self.record.restore_key)
        share = f"{comparison.disagreeing} of {comparison.decided} decided pairs of blocks disagree"
        return self._note(
            10,
            comparison.alike,
            f"the image is like the sealed one: {share}"
            if comparison.alike
            else f"the record is of another image: {share}",
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

    def _shown(self, identity_field: Field) -> str:
        file = self.examination.file
        return text(raw_value(file, identity_field), identity_field, character_set(file))

    def _differs(self, keyword: str, hidden: str | None, header: str) -> None:
        """Remember a difference; a hidden value once known is not forgotten."""
        known = self._differences.get(keyword, {}).get("hidden")
        self._differences[keyword] = {
            "keyword": keyword,
            "hidden": known if hidden is None else hidden,
            "header": header,
        }
