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

_SINGLE_FRAMES = 64  # frames that a deep look reads one by one


class Codec:
    """Loaded networks; one per worker process, used from one thread at a time."""

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
        """Load the networks of `folder` (default: those shipped in the package `onnx_models`).

        release: PEM of the key that signed their cards; None: that of this release. Raises ModelFileError when a file
        is missing, a card is not signed with that key, or a network's hash differs from its card.
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
        """Hide `payload` so that `reveal` returns exactly it; proven by revealing before returning.

        cover: (frames, rows, columns, samples), integer stored values of 8 or 16 bit; samples 1, or 3.
        payload: 1 .. 1000 bytes. padding: stored values that must not be touched. ybr: the three samples are Y, Cb, Cr.
        window: stored values that a rendering shows as black and as white, if known (PS3.3 C.11.2); a robust mark is
        made to survive that rendering. frames: where the payload goes in a multi-frame image.
        No stored value leaves the cover's own min..max. Raises HideFailed.
        """
        single = frames is Frames.EVERY and len(cover) > 1
        parts = [cover[i : i + 1] for i in range(len(cover))] if single else [cover]
        made = self.hide_many(
            [Cover(part, payload, padding=padding, ybr=ybr, window=window) for part in parts], profile=profile
        )
        hidden = [one for one in made if isinstance(one, Hidden)]
        if not hidden:
            raise next(one for one in made if isinstance(one, HideFailed))
        return _together(made, cover) if single else hidden[0]

    def hide_many(
        self, covers: Sequence[Cover], *, profile: Profile = Profile.FIDELITY
    ) -> list[Hidden | HideFailed]:
        """`hide` for several covers; each attempt of all of them shares a run of the network."""
        writings = [Writing(self._newest[profile].hider, cover) for cover in covers]
        results: list[Hidden | HideFailed | None] = [_unsuitable(cover) for cover in covers]
        while waiting := [i for i, result in enumerate(results) if result is None]:
            ready = [i for i in waiting if writings[i].advance()]
            for i in set(waiting) - set(ready):
                results[i] = writings[i].failure
            self._newest[profile].hider.run([writings[i] for i in ready])
            for i in ready:
                found = self.reveal(writings[i].container, newest=True)
                if found is not None and found.payload == covers[i].payload:
                    results[i] = writings[i].hidden(found)
        return [result for result in results if result is not None]

    def reveal(
        self,
        container: NDArray[Any],
        *,
        hint: dict[str, int] | None = None,
        deep: bool = False,
        newest: bool = False,
    ) -> Revealed | None:
        """The payload hidden in `container` (shape and dtype as in `hide`), or None when there is none.

        hint: as `Hidden` or `Revealed` gave it; only saves time. deep: look harder, for some seconds, where lossy
        compression has blurred the traces of a mark. newest: look only for what `hide` writes today, and unscaled.
        """
        if min(container.shape[1:3]) < CELL:
            return None
        versions: list[_Version1 | _Version2] = [*self._newest.values(), *([] if newest else self._first)]
        hinted = [one for one in versions if hint and one.number == hint.get("profile")]
        for one in hinted:
            found = next(one.search(container, hint or {}), None)
            if found is not None:
                return found
        for harder in (False, True) if deep else (False,):
            for one in versions:
                found = next(one.search(container, {}, scaled=not newest, deep=harder), None)
                if found is not None:
                    return found
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
        """What is hidden in the leading frames, or in one frame of its own where the hint or `deep` says so."""
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
                for found in reader.read(hint, scaled=scaled, deep=deep):
                    where = {"plane": name, "frames": frames, "frame": first}
                    yield _revealed(
                        found, self._card.codec_id, self._profile, {"profile": self.number, **where}
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
        scaled: bool = True,  # noqa: ARG002  version 1 can't read scaled marks
        deep: bool = False,
    ) -> Iterator[Revealed]:
        for name in planes(container, luma=self._card.luma):
            if hint.get("plane", name) != name:
                continue
            plane = Plane(name, container)
            for frames in frame_counts(len(container)):
                if hint.get("frames", frames) != frames:
                    continue
                for found in reading_v1.read(self.revealer, self._card, plane, frames, hint, deep=deep):
                    where = {"plane": name, "frames": frames}
                    yield _revealed(
                        found, self._card.codec_id, self._profile, {"profile": self.number, **where}
                    )


def _revealed(found: Reading, codec_id: str, profile: Profile, where: dict[str, int]) -> Revealed:
    """where: the part of the hint that tells the place of the mark."""
    return Revealed(
        payload=found.payload,
        codec_id=codec_id,
        profile=profile,
        coded_bits=found.rung.length,
        raw_bit_error_rate=found.raw_bit_error_rate,
        hint=where | {"unit": found.unit, "lift": found.rung.lift, "eighths": found.rung.eighths},
    )


def planes(container: NDArray[Any], *, luma: bool) -> tuple[int, ...]:
    """Planes that may carry a mark: of colour, RGB and Y, Cb, Cr alike."""
    if container.shape[3] == 1:
        return (0,)
    return (LUMA if luma else GREEN, 0)


def _unsuitable(cover: Cover) -> HideFailed | None:
    if not 1 <= len(cover.payload) <= PAYLOAD_MAX:
        return HideFailed(f"a payload of {len(cover.payload)} bytes can't be hidden", code="too-small")
    if min(cover.pixels.shape[1:3]) < CELL:
        return HideFailed("the image is smaller than a cell", code="too-small")
    return None


def _together(made: Sequence[Hidden | HideFailed], cover: NDArray[Any]) -> Hidden:
    """Frames that were marked one by one, those that can't carry the payload as they were."""
    container = cover.copy()
    for frame, one in enumerate(made):
        if isinstance(one, Hidden):
            container[frame] = one.container[0]
    marked = [(frame, one) for frame, one in enumerate(made) if isinstance(one, Hidden)]
    first, hidden = marked[0]
    return Hidden(
        container=container,
        codec_id=hidden.codec_id,
        profile=hidden.profile,
        coded_bits=sum(one.coded_bits for _, one in marked),
        max_change=max(one.max_change for _, one in marked),
        hint=hidden.hint | {"frame": first},
        synthesis=Synthesis.together([one.synthesis if isinstance(one, Hidden) else None for one in made]),
    )
