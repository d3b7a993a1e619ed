"""Which of the proposed transfer syntaxes is accepted."""

from __future__ import annotations

from pydicom.uid import UID, ImplicitVRLittleEndian

from gateway.dimse.negotiation import known_first, plain_first


def test_the_first_standard_syntax_is_taken_in_the_proposers_order() -> None:
    private = UID("1.2.840.113619.5.2")
    jpeg_ls = UID("1.2.840.10008.1.2.4.80")
    assert known_first([private, jpeg_ls, ImplicitVRLittleEndian]) == [
        jpeg_ls,
        ImplicitVRLittleEndian,
        private,
    ]
    assert known_first([private]) == [private]


def test_what_is_sent_back_goes_uncompressed_where_the_proposer_takes_that() -> None:
    jpeg_ls = UID("1.2.840.10008.1.2.4.80")
    assert plain_first([jpeg_ls, ImplicitVRLittleEndian]) == [ImplicitVRLittleEndian, jpeg_ls]
    assert plain_first([jpeg_ls]) == [jpeg_ls]
