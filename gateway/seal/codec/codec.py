"""Hide a payload in pixels, reveal it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from numpy.typing import NDArray

from gateway.seal.codec.cover import HideFailed
from gateway.seal.codec.hiding import Cover, Hider, Writing
from gateway.seal.codec.layout import CELL, PAYLOAD_MAX, frame_counts
from gateway.seal.codec.networks import (
    Revealer,
    read_card,
    release_key,
    shipped,
)
from gateway.seal.codec.plane import GREEN, LUMA, Plane
from gateway.seal.codec.reading import PayloadReader, Reading
from gateway.seal.codec.results import (
    Frames,
    Hidden,
    Profile,
    Revealed,
)
from gateway.seal.codec.synthesis import Synthesis
from gateway.seal.codec.v1 import reading as reading_v1
from gateway.seal.codec.v1.card import CardV1 as CardV1

# Number of frames that a deep search reads one by one.
_SINGLE_FRAMES = 64


class Codec:
    """The loaded networks. A worker process has one codec, and uses it from one thread at a time."""

    def __init__(self, folder: Traversable | Path, *, key: Ed25519PublicKey, threads: int) -> None:
        self._first = [
            _Version1(folder, profile, read_card(folder, f"{profile}-v1", key), number, threads)
            for number, profile in enumerate(Profile)
        ]
        self._newest = {
            profile: _Version2(
                folder, profile, read_card(folder, f"{profile}-v2", key), len(Profile) + number, threads
            )
            for number, profile in enumerate(Profile)
        }
        self.provider = self._first[0].revealer.provider

    @classmethod
    def load(
        cls, folder: Traversable | Path | None = None, *, release: Path | None = None, threads: int = 1
    ) -> Codec:
        """Load the networks.

        folder: holds networks and cards; None: those in the package `onnx_models`.
        release: PEM file of the key that signed the cards; None: the key of this release.
        threads: for each network.
        Raises ModelFileError when a file is missing, a card is not signed with that key, or the hash of a network is
        not the one in its card.
        """
        return cls(shipped() if folder is None else folder, key=release_key(release), threads=threads)

    def hide(
        self,
        cover: NDArray[Any],
        payload: bytes,
        *,
        profile: Profile = Profile.FIDELITY,
        padding: tuple[int, ...] = (),
        ybr: bool = False,
        window: tuple[float, float] | None = None,
        frames: Frames = Frames.FIRST,
    ) -> Hidden:
        """Hide a payload so that `reveal` gives it back. That is proven by revealing it before anything is returned.

        No stored value leaves the range from the least to the greatest value of the cover.

        cover: (frames, rows, columns, samples), integer stored values of 8 or 16 bits; samples is 1 or 3.
        payload: 1 .. 1000 bytes.
        profile: what the change is tuned for.
        padding: stored values that must not be touched.
        ybr: the three samples are Y, Cb, Cr.
        window: stored values that a rendering shows as black and as white (PS3.3 C.11.2); None when they are not known.
            A robust payload is made to survive that rendering.
        frames: where the payload goes in a multi-frame image.
        Raises HideFailed when the payload does not fit or does not come back.
        """
        single = frames is Frames.EVERY and len(cover) > 1
        parts = [cover[i : i + 1] for i in range(len(cover))] if single else [cover]
        results = self.hide_many(
            [Cover(part, payload, padding=padding, ybr=ybr, window=window) for part in parts], profile=profile
        )
        hidden = [result for result in results if isinstance(result, Hidden)]
        if not hidden:
            raise next(result for result in results if isinstance(result, HideFailed))
        return _together(results, cover) if single else hidden[0]

    def hide_many(
        self, covers: Sequence[Cover], *, profile: Profile = Profile.FIDELITY
    ) -> list[Hidden | HideFailed]:
        """What `hide` does, for several covers at once. Their attempts share runs of the network."""
        writings = [Writing(self._newest[profile].hider, cover) for cover in covers]
        results: list[Hidden | HideFailed | None] = [_unsuitable(cover) for cover in covers]
        while waiting := [i for i, result in enumerate(results) if result is None]:
            ready = [i for i in waiting if writings[i].advance()]
            for i in set(waiting) - set(ready):
                results[i] = writings[i].failure
            self._newest[profile].hider.run([writings[i] for i in ready])
            for i in ready:
                revealed = self.reveal(writings[i].container, newest=True)
                if revealed is not None and revealed.payload == covers[i].payload:
                    results[i] = writings[i].hidden(revealed)
        return [result for result in results if result is not None]

    def reveal(
        self,
        container: NDArray[Any],
        *,
        hint: dict[str, int] | None = None,
        deep: bool = False,
        newest: bool = False,
    ) -> Revealed | None:
        """The payload that is hidden in an image; None when there is none.

        container: shape and dtype as in `hide`.
        hint: as `Hidden` or `Revealed` gave it; it only saves time.
        deep: search for some seconds longer, where lossy compression has blurred the traces of a payload.
        newest: search only for what `hide` writes today, in an image that was not scaled.
        """
        if min(container.shape[1:3]) < CELL:
            return None
        versions: list[_Version1 | _Version2] = [*self._newest.values(), *([] if newest else self._first)]
        hinted = [version for version in versions if hint and version.number == hint.get("profile")]
        for version in hinted:
            revealed = next(version.search(container, hint or {}), None)
            if revealed is not None:
                return revealed
        for harder in (False, True) if deep else (False,):
            for version in versions:
                revealed = next(version.search(container, {}, scaled=not newest, deep=harder), None)
                if revealed is not None:
                    return revealed
        return None


class _Version2:
    """Hiding and revealing with one codec id of version 2."""

    def __init__(
        self, folder: Traversable | Path, profile: Profile, card: dict[str, Any], number: int, threads: int
    ) -> None:
        self.number = number
        self.hider = Hider(folder, card, profile, threads=threads)
        self._card = self.hider.card
        self._profile = profile
        self._revealer = Revealer(folder, card, threads=threads)

    def search(
        self, container: NDArray[Any], hint: dict[str, int], *, scaled: bool = True, deep: bool = False
    ) -> Iterator[Revealed]:
        """What is hidden in the leading frames, and in single frames where the hint or `deep` asks for them."""
        alone = hint.get("frame", 0)
        if 0 < alone < len(container):
            yield from self._leading(container, alone, hint)
        else:
            yield from self._leading(container, 0, hint, scaled=scaled, deep=deep)
        if deep:
            for frame in range(1, min(len(container), _SINGLE_FRAMES)):
                yield from self._leading(container, frame, {})

    def _leading(
        self,
        container: NDArray[Any],
        first: int,
        hint: dict[str, int],
        *,
        scaled: bool = True,
        deep: bool = False,
    ) -> Iterator[Revealed]:
        pixels = container[first : first + 1] if first else container
        for name in planes(container, luma=self._card.luma):
            if hint.get("plane", name) != name:
                continue
            plane = Plane(name, pixels)
            for frames in frame_counts(len(pixels)):
                if hint.get("frames", frames) != frames:
                    continue
                reader = PayloadReader(self._revealer, self._card, plane, frames)
                for reading in reader.read(hint, scaled=scaled, deep=deep):
                    where = {"plane": name, "frames": frames, "frame": first}
                    yield _revealed(
                        reading, self._card.codec_id, self._profile, {"profile": self.number, **where}
                    )


class _Version1:
    """Revealing with one codec id of version 1."""

    def __init__(
        self, folder: Traversable | Path, profile: Profile, card: dict[str, Any], number: int, threads: int
    ) -> None:
        self.number = number
        self._profile = profile
        self._card = CardV1.of(card)
        self.revealer = Revealer(folder, card, threads=threads)

    def search(
        self,
        container: NDArray[Any],
        hint: dict[str, int],
        *,
        scaled: bool = True,  # noqa: ARG002  version 1 can't read scaled images
        deep: bool = False,
    ) -> Iterator[Revealed]:
        for name in planes(container, luma=self._card.luma):
            if hint.get("plane", name) != name:
                continue
            plane = Plane(name, container)
            for frames in frame_counts(len(container)):
                if hint.get("frames", frames) != frames:
                    continue
                for reading in reading_v1.read(self.revealer, self._card, plane, frames, hint, deep=deep):
                    where = {"plane": name, "frames": frames}
                    yield _revealed(
                        reading, self._card.codec_id, self._profile, {"profile": self.number, **where}
                    )


def _revealed(reading: Reading, codec_id: str, profile: Profile, where: dict[str, int]) -> Revealed:
    """where: the part of the hint that tells the place of the payload."""
    return Revealed(
        payload=reading.payload,
        codec_id=codec_id,
        profile=profile,
        coded_bits=reading.rung.length,
        raw_bit_error_rate=reading.raw_bit_error_rate,
        hint=where | {"unit": reading.unit, "lift": reading.rung.lift, "eighths": reading.rung.eighths},
    )


def planes(container: NDArray[Any], *, luma: bool) -> tuple[int, ...]:
    """Planes that may carry a payload. In colour they fit both RGB and Y, Cb, Cr."""
    if container.shape[3] == 1:
        return (0,)
    return (LUMA if luma else GREEN, 0)


def _unsuitable(cover: Cover) -> HideFailed | None:
    if not 1 <= len(cover.payload) <= PAYLOAD_MAX:
        return HideFailed(f"a payload of {len(cover.payload)} bytes can't be hidden", code="too-small")
    if min(cover.pixels.shape[1:3]) < CELL:
        return HideFailed("the image is smaller than a cell", code="too-small")
    return None


def _together(results: Sequence[Hidden | HideFailed], cover: NDArray[Any]) -> Hidden:
    """Frames that were written one by one. Those that can't carry the payload stay as they were."""
    container = cover.copy()
    written = [(frame, result) for frame, result in enumerate(results) if isinstance(result, Hidden)]
    for frame, result in written:
        container[frame] = result.container[0]
    first, hidden = written[0]
    return Hidden(
        container=container,
        codec_id=hidden.codec_id,
        profile=hidden.profile,
        coded_bits=sum(result.coded_bits for _, result in written),
        max_change=max(result.max_change for _, result in written),
        hint=hidden.hint | {"frame": first},
        synthesis=Synthesis.together(
            [result.synthesis if isinstance(result, Hidden) else None for result in results]
        ),
    )
