"""The error correction. The independent library is scikit-commpy (BSD)."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from commpy.channelcoding.ldpc import ldpc_bp_decode, triang_ldpc_systematic_encode
from hypothesis import given
from hypothesis import strategies as st

from export import ldpc_curve
from export.evaluation.recovery import clopper_pearson
from gateway.seal.codec import ldpc
from gateway.seal.codec.layout import frame, unframe


def sent(message: np.ndarray, lift: int) -> np.ndarray:
    return (1.0 - 2.0 * ldpc.encode(message, lift)).astype(np.float32)


@given(st.sampled_from(ldpc.LIFTS[:40]), st.integers(0, 2**32 - 1))
def test_a_clean_codeword_decodes_to_its_message(lift: int, seed: int) -> None:
    message = np.random.default_rng(seed).integers(0, 2, ldpc.message_bits(lift)).astype(np.uint8)
    decoded = ldpc.decode(sent(message, lift), lift)
    assert decoded is not None and np.array_equal(decoded, message)


@pytest.mark.parametrize("lift", [60, 120, 240])
def test_eight_percent_of_soft_raw_errors_are_corrected(lift: int) -> None:
    rng = np.random.default_rng(lift)
    for _ in range(20):
        message = rng.integers(0, 2, ldpc.message_bits(lift)).astype(np.uint8)
        sigma = 0.712  # 8 % of the signs are wrong
        noisy = sent(message, lift) + sigma * rng.standard_normal(ldpc.code_bits(lift))
        assert 0.05 < (np.sign(noisy) != sent(message, lift)).mean() < 0.11
        decoded = ldpc.decode((2 * noisy / sigma**2).astype(np.float32), lift)
        assert decoded is not None and np.array_equal(decoded, message)


def test_a_fifth_of_the_bits_may_be_lost() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        message = rng.integers(0, 2, ldpc.message_bits(64)).astype(np.uint8)
        llr = sent(message, 64) * (rng.random(ldpc.code_bits(64)) > 0.2)
        decoded = ldpc.decode(llr.astype(np.float32), 64)
        assert decoded is not None and np.array_equal(decoded, message)


def test_noise_is_no_codeword() -> None:
    rng = np.random.default_rng(4)
    assert all(
        ldpc.decode(rng.standard_normal(ldpc.code_bits(32)).astype(np.float32), 32) is None for _ in range(50)
    )


@pytest.mark.parametrize("lift", ldpc.LIFTS)
def test_the_graph_has_no_cycle_of_length_four(lift: int) -> None:
    edges = ldpc._graph(lift).edges
    checks = np.tile(np.arange(edges.shape[1]), len(edges))
    bits = edges.ravel()
    order = np.argsort(bits, kind="stable")
    seen: set[tuple[int, int]] = set()
    starts = np.flatnonzero(np.diff(bits[order], prepend=-1))
    for group in np.split(checks[order], starts[1:]):
        for i, first in enumerate(group):
            for second in group[i + 1 :]:
                pair = (int(first), int(second))
                assert pair not in seen
                seen.add(pair)


def test_every_check_has_four_message_bits() -> None:
    assert {row: sum(r == row for r, _, _ in ldpc.SHIFTS) for row in range(ldpc.ROWS)} == dict.fromkeys(
        range(12), 4
    )


@lru_cache
def independent_code(lift: int) -> dict[str, Any]:
    """As the library takes it: the (12 Z, 24 Z) parity-check matrix, parity bits in the accumulator's order."""
    half = ldpc.ROWS * lift
    place, check = np.arange(lift), np.arange(half)
    rows, columns = [check, check[1:]], [half + check, half + check[:-1]]
    for row, column, shift in ldpc.SHIFTS:
        rows.append(ldpc.ROWS * place + row)
        columns.append(column * lift + (place + shift) % lift)
    where = (np.concatenate(rows), np.concatenate(columns))
    ones = np.ones(len(where[0]), np.int8)
    matrix = scipy.sparse.csc_matrix((ones, where), shape=(half, 2 * half))
    assert matrix.max() == 1, "two edges between the same check and bit"
    parity = matrix[:, half:].astype(float)
    solved = scipy.sparse.linalg.spsolve_triangular(parity.tocsr(), matrix[:, :half].toarray().astype(float))
    return {
        "n_vnodes": 2 * half,
        "n_cnodes": half,
        "parity_check_matrix": matrix,
        "generator_matrix": np.rint(solved).astype(np.int64),
    }


def sent_place(lift: int) -> np.ndarray:
    """The places of bits in accumulator order in a codeword: parity by place modulo 4, first 3, then 1, 2, 0."""
    half = ldpc.ROWS * lift
    sent = [place for start in (3, 1, 2, 0) for place in range(start, half, 4)]
    return np.concatenate([np.arange(half), half + np.argsort(sent)])


@pytest.mark.parametrize("lift", [16, 60, 112])
def test_codewords_are_those_of_an_independent_encoder_and_fulfil_its_checks(lift: int) -> None:
    code, rng = independent_code(lift), np.random.default_rng(lift)
    for _ in range(20):
        message = rng.integers(0, 2, ldpc.message_bits(lift)).astype(np.uint8)
        codeword = ldpc.encode(message, lift)[sent_place(lift)]
        assert not (code["parity_check_matrix"].astype(int) @ codeword % 2).any()
        assert np.array_equal(triang_ldpc_systematic_encode(message.astype(np.int64), code), codeword)


def frame_errors(lift: int, eb_n0_db: float, frames: int, *, algorithm: str | None) -> int:
    """Number of frames that a decoder fails on, out of the same frames, after 50 iterations.

    algorithm: of the library, "SPA" (sum-product) or "MSA" (min-sum); None: our decoder.
    """
    rng, failed = np.random.default_rng(lift), 0
    for _ in range(frames):
        message = rng.integers(0, 2, ldpc.message_bits(lift)).astype(np.uint8)
        llr = ldpc_curve.received(message, lift, ldpc_curve.deviation(eb_n0_db), rng)
        if algorithm is None:
            decoded = ldpc.decode(llr, lift)
        else:
            natural = llr[sent_place(lift)].astype(np.float64)
            word, _ = ldpc_bp_decode(natural, independent_code(lift), algorithm, 50)
            decoded = word[: len(message)]
        failed += decoded is None or not np.array_equal(decoded, message)
    return failed


def not_worse(ours: int, library: int, frames: int) -> bool:
    """Whether our decoder fails no more often, within the 95 % intervals of both."""
    return clopper_pearson(ours, frames)[0] <= clopper_pearson(library, frames)[1]


@pytest.mark.parametrize(("eb_n0_db", "frames"), [(1.0, 150), (1.5, 250)])
def test_short_codes_fail_as_often_as_under_an_independent_sum_product_decoder(
    eb_n0_db: float, frames: int
) -> None:
    ours = frame_errors(16, eb_n0_db, frames, algorithm=None)
    library = frame_errors(16, eb_n0_db, frames, algorithm="SPA")
    assert library > 0
    assert not_worse(ours, library, frames) and not_worse(library, ours, frames)


@pytest.mark.parametrize(("eb_n0_db", "frames"), [(1.5, 30), (2.0, 60)])
def test_short_codes_fail_no_more_than_under_an_independent_min_sum_decoder(
    eb_n0_db: float, frames: int
) -> None:
    ours = frame_errors(16, eb_n0_db, frames, algorithm=None)
    assert ours <= frame_errors(16, eb_n0_db, frames, algorithm="MSA")


@pytest.mark.parametrize("eb_n0_db", [1.0, 1.2])
def test_a_usual_code_loses_at_most_a_fifth_of_a_decibel_against_independent_sum_product(
    eb_n0_db: float,
) -> None:
    """What min-sum is known to lose; at 1.0 and 1.2 dB every second to tenth frame fails."""
    library = frame_errors(ldpc_curve.LIFT, eb_n0_db, 60, algorithm="SPA")
    ours = frame_errors(ldpc_curve.LIFT, eb_n0_db + 0.2, 60, algorithm=None)
    assert library > 0
    assert not_worse(ours, library, 60)


def test_the_measured_curve_falls() -> None:
    rows = [ldpc_curve.measure(point, lift=32, frames=400, errors=40) for point in (1.0, 2.0)]
    assert rows[0].errors / rows[0].frames > 5 * rows[1].errors / rows[1].frames
    assert rows[1].raw_bit_error_rate < rows[0].raw_bit_error_rate < 0.15


def test_the_payload_of_another_codeword_is_refused() -> None:
    rng, sigma, others = np.random.default_rng(1), ldpc_curve.deviation(2.0), 0
    for _ in range(800):
        message = frame(rng.bytes(30), 32)
        decoded = ldpc.decode(ldpc_curve.received(message, 32, sigma, rng), 32)
        if decoded is not None and not np.array_equal(decoded, message):
            others += 1
            assert unframe(decoded) is None
    assert others > 0
