"""The checks of FORMAT.md, one method each: they gather facts about an object; `gateway.seal.verifying` draws the
verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from blake3 import blake3
from numpy.typing import NDArray

from gateway.dicom.image import (
    PIXEL_DATA,
    HighBits,
    PixelFormat,
    Pixels,
    pixel_format,
)
from gateway.dicom.part10 import Part10
from gateway.dicom.pixels import decode, decode_in_pieces, in_common
from gateway.errors import (
    ConfigurationError,
    SealBroken,
    UnreadableObject,
    UnsupportedPixels,
)
from gateway.keys import RecipientKey, TrustedSigners
from gateway.keys.trust import moment
from gateway.seal.attesting import digest_encoded
from gateway.seal.block import digest, private_block, statement
from gateway.seal.block.digest import Tile
from gateway.seal.block.private_block import Block
from gateway.seal.block.statement import Domain, Level, Statement
from gateway.seal.codec import Codec, Revealed
from gateway.seal.documenting import SOP_CLASS_UID, SOP_INSTANCE_UID
from gateway.seal.findings import CHECKS, Check
from gateway.seal.opening import envelope_of, open_record
from gateway.seal.record import envelope, likeness
from gateway.seal.record.envelope import Envelope, Locator
from gateway.seal.record.fields import (
    Field,
    character_set,
    comparable,
    field_of_tag,
    raw_value,
    text,
)
from gateway.seal.record.fields import field as field_of
from gateway.seal.record.record import Record, same_value


class Examination:
    """One object under examination; facts appear as the checks are made."""

    def __init__(self, file: Part10, codec: Codec, *, deep: bool = False) -> None:
        self.file = file
        self.checks: list[Check] = []
        self.block: Block | None = None
        self.statement: Statement | None = None
        self.record: Record | None = None
        self.tampered_tiles: tuple[Tile, ...] = ()
        self.spread = 0.0  # share of the tiles with content that changed
        self._codec = codec
        self._deep = deep  # look for a payload as long as it takes
        self._encoded = b""
        self._differences: dict[str, dict[str, str | None]] = {}

    def note(self, n: int, ok: bool, detail: str) -> bool:
        self.checks.append(Check(n, CHECKS[n], ok, detail))
        return ok

    @property
    def header_differences(self) -> tuple[dict[str, str | None], ...]:
        return tuple(self._differences.values())

    @cached_property
    def image(self) -> tuple[PixelFormat, Pixels] | None:
        """Layout and samples, or None when the object has no pixels that decode."""
        if PIXEL_DATA not in self.file.index:
            return None
        try:
            shape = pixel_format(self.file)
            return shape, decode(self.file, shape)
        except (UnsupportedPixels, UnreadableObject):
            return None

    @cached_property
    def revealed(self) -> Revealed | None:
        """What the codec finds in the pixels."""
        if self.image is None:
            return None
        shape, pixels = self.image
        if shape.allocated not in (8, 16) or shape.samples not in (1, 3):
            return None
        hint = self.statement.hint if self.statement else None
        return self._codec.reveal(pixels.samples, hint=hint, deep=self._deep)

    @cached_property
    def payload(self) -> Envelope | Locator | None:
        """The payload in the pixels, or None when what is there is none of ours."""
        return envelope.parse(self.revealed.payload) if self.revealed else None

    def check_block(self) -> bool:
        """(2) The block is whole: statement, parts and readable elements belong together."""
        try:
            self.block = private_block.find(self.file)
            if self.block is None:
                return self.note(2, False, "there is no private block")
            self.statement, self._encoded = statement.decode(self.block.statement)
            self._check_parts(self.block, self.statement)
        except SealBroken as error:
            return self.note(2, False, str(error))
        return self.note(2, True, "the private block is whole")

    def _check_parts(self, found: Block, said: Statement) -> None:
        parts = {
            "tile digests": (found.tiles, said.tiles_hash),
            "restoring element": (found.restoring, said.restoring_hash),
            "envelope": (found.envelope, said.envelope_hash),
        }
        for name, (part, named) in parts.items():
            if private_block.hash_part(part) != named:
                raise SealBroken(f"the {name} is not the one in the statement", check=2)
        if found.level != said.level or found.digest != said.digest.hex():
            raise SealBroken("the readable level or digest is not the one in the statement", check=2)

    def check_signature(self, trusted: TrustedSigners | None) -> bool | None:
        """(3) A signer we believe made the statement. None when we do not believe the signer, or not for that time."""
        if self.statement is None or self.block is None:
            return False
        name = self.statement.signer_id.hex()
        signer = trusted.find(self.statement.signer_id) if trusted else None
        if signer is None:
            self.note(3, False, f"signer {name} is not among the trusted ones")
            return None
        try:
            statement.check_signature(self._encoded, self.block.signature, signer.public)
        except SealBroken as error:
            return self.note(3, False, str(error))
        objection = signer.validity.objection(self.statement.sealed_at)
        if objection:
            self.note(3, False, f"signed by {name} at {moment(self.statement.sealed_at)}, {objection}")
            return None
        remark = signer.validity.remark
        return self.note(3, True, f"signed by {name}" + (f"; {remark}" if remark else ""))

    def check_instance(self) -> bool:
        """(4) The statement is about this instance."""
        said = self._said
        pairs = {
            SOP_CLASS_UID: ("SOPClassUID", said.sop_class_uid),
            SOP_INSTANCE_UID: ("SOPInstanceUID", said.sop_instance_uid),
        }
        for tag, (keyword, hidden) in pairs.items():
            if self.file.text(tag) != hidden:
                self._differs(keyword, hidden, self.file.text(tag))
        wrong = [keyword for keyword, _ in pairs.values() if keyword in self._differences]
        return self.note(
            4, not wrong, f"differs: {', '.join(wrong)}" if wrong else "the statement names this instance"
        )

    def check_digest(self) -> bool:
        """(5) The content the digest covers is what was sealed; else which tiles changed."""
        said = self._said
        try:
            found = self._digest(said)
        except UnsupportedPixels as error:
            return self.note(5, False, f"the {said.domain} can't be read: {error}")
        if found == said.digest:
            return self.note(5, True, f"the {said.domain} are those that were sealed")
        if said.domain == Domain.PIXELS and self.block:
            return self.note(5, False, self._compare_tiles(self.block, said, pixel_format(self.file)))
        changed = "; the transfer syntax changed" if self.file.transfer_syntax != said.transfer_syntax else ""
        return self.note(5, False, f"the {said.domain} are not those that were sealed{changed}")

    def check_header(self) -> bool:
        """(6) The identity fields are those that were sealed, by their keyed digests."""
        said, wanted = self._said, self._fields
        if len(wanted) != len(said.header_digests):
            return self.note(6, False, "the statement covers elements that are no fields")
        found = digest.of_header(self.file, [one.keyword for one in wanted], said.header_salt)
        wrong = [one for one in wanted if found[one.tag] != said.header_digests[one.tag]]
        for one in wrong:
            self._differs(one.keyword, None, self._shown(one))
        names = ", ".join(one.keyword for one in wrong)
        return self.note(
            6, not wrong, f"differs: {names}" if wrong else "the identity fields are those that were sealed"
        )

    def check_payload(self) -> bool:
        """(7) The payload comes out of the pixels and is the one stated."""
        if self.payload is None or self.revealed is None:
            return self.note(7, False, "no payload comes out of the pixels")
        if self.statement and self.statement.payload_hash != blake3(self.revealed.payload).digest():
            return self.note(7, False, "the pixels hold the payload of another sealing")
        return self.note(7, True, "the payload comes out of the pixels")

    def check_record(self, key: RecipientKey) -> bool:
        """(8) The envelope opens, and the record agrees with the header."""
        if self.payload is None:
            return False
        try:
            self.record = open_record(envelope_of(self.payload, self.block), key)
        except SealBroken as error:
            return self.note(8, False, str(error))
        names = dict.fromkeys(self.record.values)
        names |= dict.fromkeys(one.keyword for one in self._fields)
        wrong = []
        for name in names:
            wanted = field_of(name)
            header = self._shown(wanted)
            if not same_value(self.record, wanted, comparable(header, wanted)):
                self._differs(name, self.record.texts().get(name, ""), header)
                wrong.append(name)
        return self.note(
            8, not wrong, f"differs: {', '.join(wrong)}" if wrong else "the record agrees with the header"
        )

    def check_likeness(self) -> bool | None:
        """(10) The image shows what the sealed one showed. None when the record or the pixels can't tell."""
        if self.record is None or not self.record.likeness or self.image is None:
            return None
        shape, pixels = self.image
        found = likeness.compare(self.record.likeness, pixels.samples, shape, self.record.restore_key)
        share = f"{found.disagreeing} of {found.decided} decided pairs of blocks disagree"
        return self.note(
            10,
            found.alike,
            f"the image is like the sealed one: {share}"
            if found.alike
            else f"the record is of another image: {share}",
        )

    @property
    def _said(self) -> Statement:
        if self.statement is None:
            raise AssertionError("checks after (2) need a statement")
        return self.statement

    @property
    def _fields(self) -> list[Field]:
        """The identity fields the statement covers, as far as they are known here."""
        found = []
        for tag in self.statement.header_digests if self.statement else ():
            try:
                found.append(field_of_tag(tag))
            except ConfigurationError:
                continue
        return found

    def _digest(self, said: Statement) -> bytes:
        if said.domain == Domain.PIXELS:
            return self._digest_pixels()
        if said.domain == Domain.FRAGMENTS:
            if PIXEL_DATA not in self.file.index:
                raise UnsupportedPixels("there is no Pixel Data")
            return digest_encoded(self.file)
        return digest.of_dataset(self.file, frozenset(said.header_digests))

    def _digest_pixels(self) -> bytes:
        """Raises UnsupportedPixels."""
        try:
            shape = pixel_format(self.file)
            engine = digest.PixelDigest(shape.frames, shape)
            for piece in self._pieces(shape):
                engine.update(piece)
        except UnreadableObject as error:
            raise UnsupportedPixels("they do not decode") from error
        return engine.digest()

    def _pieces(self, shape: PixelFormat) -> Iterator[NDArray[Any]]:
        """The samples; of an object that is not in memory, some frames at a time. Raises UnsupportedPixels."""
        if not self.file.in_memory and self._said.level == Level.DIGEST:
            yield from (piece.samples for piece in in_common(decode_in_pieces(self.file, shape), self.file))
            return
        if self.image is None:
            raise UnsupportedPixels("they do not decode")
        if self.image[1].high_bits is HighBits.OTHER:
            raise UnsupportedPixels("bits above Bits Stored appeared")
        yield self.image[1].samples

    def _compare_tiles(self, found: Block, said: Statement, shape: PixelFormat) -> str:
        places = digest.tiles(shape.frames, shape.rows, shape.columns, said.tile_edge)
        size = digest.TILE_DIGEST_BYTES
        if len(places) * size != len(found.tiles):
            return "the image has another size than the sealed one"
        changed: list[Tile] = []
        with_content = first = at = 0
        for samples in self._pieces(shape):
            now = digest.of_tiles(samples, shape, said.tile_edge, first=first)
            for number in range(len(now) // size):
                frame, row, column, height, width = tile = places[at + number]
                part = samples[frame - first, row : row + height, column : column + width]
                with_content += bool(part.min() != part.max())
                kept = found.tiles[(at + number) * size : (at + number + 1) * size]
                if now[number * size : (number + 1) * size] != kept:
                    changed.append(tile)
            first, at = first + len(samples), at + len(now) // size
        self.spread = len(changed) / max(with_content, 1) if len(changed) > 1 else 0.0
        self.tampered_tiles = tuple(changed)
        return f"{len(changed)} of {len(places)} tiles changed"

    def _shown(self, wanted: Field) -> str:
        return text(raw_value(self.file, wanted), wanted, character_set(self.file))

    def _differs(self, keyword: str, hidden: str | None, header: str) -> None:
        """Remember a difference; a hidden value once known is not forgotten."""
        known = self._differences.get(keyword, {}).get("hidden")
        self._differences[keyword] = {
            "keyword": keyword,
            "hidden": known if hidden is None else hidden,
            "header": header,
        }
