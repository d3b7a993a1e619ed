"""Keys by role: the recipient may open records, the signer vouches for objects."""

from gateway.keys.access import read_passphrases
from gateway.keys.certified import (
    CERTIFICATE_ERRORS,
    CertificateTrust,
    CertifiedSigner,
    load_certificates,
    load_certified_signer,
    signature_verifies,
    unpadded,
)
from gateway.keys.files import (
    KeyFiles,
    Passphrases,
    load_recipient,
    load_trusted_signers,
    public_keys,
)
from gateway.keys.generation import generate
from gateway.keys.identity import (
    RECIPIENT_ID_BYTES,
    SIGNER_ID_BYTES,
    Curve,
    fingerprint,
    is_recipient,
    signer_id,
)
from gateway.keys.provider import (
    KeyProvider,
    key_provider,
    load_recipient_key,
    load_signer,
)
from gateway.keys.roles import (
    SUITES,
    OpeningKey,
    Recipient,
    RecipientKey,
    Signer,
    SigningKey,
)
from gateway.keys.time_stamps import TimeStamp, TimeStampQuery, read_stamp
from gateway.keys.trust import TrustedSigner, TrustedSigners, Validity
from gateway.runtime.core_dumps import forbid_dumps

__all__ = [
    "CERTIFICATE_ERRORS",
    "RECIPIENT_ID_BYTES",
    "SIGNER_ID_BYTES",
    "SUITES",
    "CertificateTrust",
    "CertifiedSigner",
    "Curve",
    "KeyFiles",
    "KeyProvider",
    "OpeningKey",
    "Passphrases",
    "Recipient",
    "RecipientKey",
    "Signer",
    "SigningKey",
    "TimeStamp",
    "TimeStampQuery",
    "TrustedSigner",
    "TrustedSigners",
    "Validity",
    "fingerprint",
    "forbid_dumps",
    "generate",
    "is_recipient",
    "key_provider",
    "load_certificates",
    "load_certified_signer",
    "load_recipient",
    "load_recipient_key",
    "load_signer",
    "load_trusted_signers",
    "public_keys",
    "read_passphrases",
    "read_stamp",
    "signature_verifies",
    "signer_id",
    "unpadded",
]
