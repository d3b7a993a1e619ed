"""The error correction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.seal.codec import ldpc


def sent(message: np.ndarray, lift: int) -> np.ndarray:
    return (1.0 - 2.0 * ldpc.encode(message, lift)).astype(np.float32)


@given(st.sampled_from(ldpc.LIFTS[:40]), st.integers(0, 2**32 - 1))
def test_a_clean_codeword_decodes_to_its_message(lift, seed):
    message = np.random.default_rng(seed).integers(0, 2, ldpc.message_bits(lift)).astype(np.uint8)
    assert np.array_equal(ldpc.decode(sent(message, lift), lift), message)


@pytest.mark.parametrize("lift", [60, 120, 240])
def test_eight_percent_of_soft_raw_errors_are_corrected(lift):
    rng = np.random.default_rng(lift)
    for _ in range(20):
        message = rng.integers(0, 2, ldpc.message_bits(lift)).astype(np.uint8)
        sigma = 0.712  # 8 % of the signs are wrong
        noisy = sent(message, lift) + sigma * rng.standard_normal(ldpc.code_bits(lift))
        assert 0.05 < (np.sign(noisy) != sent(message, lift)).mean() < 0.11
        assert np.array_equal(ldpc.decode((2 * noisy / sigma**2).astype(np.float32), lift), message)


def test_a_fifth_of_the_bits_may_be_lost():
    rng = np.random.default_rng(3)
    for _ in range(20):
        message = rng.integers(0, 2, ldpc.message_bits(64)).astype(np.uint8)
        llr = sent(message, 64) * (rng.random(ldpc.code_bits(64)) > 0.2)
        assert np.array_equal(ldpc.decode(llr.astype(np.float32), 64), message)


def test_noise_is_no_codeword():
    rng = np.random.default_rng(4)
    assert all(
        ldpc.decode(rng.standard_normal(ldpc.code_bits(32)).astype(np.float32), 32) is None for _ in range(50)
    )


@pytest.mark.parametrize("lift", ldpc.LIFTS)
def test_the_graph_has_no_cycle_of_length_four(lift):
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


def test_every_check_has_four_message_bits():
    assert {row: sum(r == row for r, _, _ in ldpc.SHIFTS) for row in range(ldpc.ROWS)} == dict.fromkeys(
        range(12), 4
    )
