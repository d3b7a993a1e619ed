"""Find the cyclic shifts of `gateway.seal.codec.ldpc`:  python -m export.design_ldpc

Eight message columns have degree 3 and four have degree 6. Every check has four message bits. The shifts are drawn one
by one, so that no lift in use has a cycle of length 4. The edges of the accumulator are included.
"""

from __future__ import annotations

import random

from gateway.seal.codec.ldpc import LIFTS, ROWS

DEGREES = (6,) * 4 + (3,) * 8
PER_CHECK = 4
SHIFT_MAX = 4096


def base_graph(rng: random.Random) -> list[tuple[int, int]] | None:
    """Draw the edges of the base graph.

    Returns (row, column) pairs with the degrees of `DEGREES`, or None when no row has room for the next column.
    """
    room = [PER_CHECK] * ROWS
    pairs = []
    for column, degree in enumerate(DEGREES):
        rows = sorted(range(ROWS), key=lambda r: (-room[r], rng.random()))[:degree]
        if any(room[r] == 0 for r in rows):
            return None
        for row in rows:
            room[row] -= 1
            pairs.append((row, column))
    return pairs


def has_four_cycle(chosen: dict[int, list[tuple[int, int]]], row: int, column: int, shift: int) -> bool:
    """Whether the edge (row, column, shift) closes a cycle of length 4, at any lift.

    chosen: column -> (row, shift) of the edges chosen so far.
    """
    for other, other_shift in chosen[column]:
        for neighbour, shifts in chosen.items():
            if neighbour == column:
                continue
            here = [s for r, s in shifts if r == row]
            there = [s for r, s in shifts if r == other]
            for a in here:
                for b in there:
                    around = shift - a + b - other_shift
                    if any(around % lift == 0 for lift in LIFTS):
                        return True
        # The accumulator joins check (row, z) with (row + 1, z), and (11, z) with (0, z + 1).
        step = {1: 0, -1: 0, ROWS - 1: 1, 1 - ROWS: -1}.get(other - row)
        if step is not None and any(
            (shift - other_shift + d) % lift == 0 for lift in LIFTS for d in (-1, 0, 1)
        ):
            return True
    return False


def design(seed: int) -> list[tuple[int, int, int]] | None:
    """One attempt. Returns sorted (row, column, shift), or None when no graph or no shift of an edge could be drawn."""
    rng = random.Random(seed)
    pairs = base_graph(rng)
    if pairs is None:
        return None
    chosen: dict[int, list[tuple[int, int]]] = {column: [] for column in range(ROWS)}
    for row, column in pairs:
        for _ in range(3000):
            shift = rng.randrange(SHIFT_MAX)
            if not has_four_cycle(chosen, row, column, shift):
                chosen[column].append((row, shift))
                break
        else:
            return None
    return sorted((row, column, shift) for column, rows in chosen.items() for row, shift in rows)


def main() -> None:
    seed = 0
    while (edges := design(seed)) is None:
        seed += 1
    print(f"seed {seed}")
    for start in range(0, len(edges), 4):
        print("    " + ", ".join(str(edge) for edge in edges[start : start + 4]) + ",")


if __name__ == "__main__":
    main()
