"""The `[retrieve]` table: the way back, and what each verdict does to an object on it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.config.values import AETitle, Seconds, Table

# The words of `gateway.seal.findings.Verdict`, which this room does not see.
VerdictName = Literal[
    "intact",
    "transcoded",
    "amended",
    "altered",
    "misidentified",
    "lossy",
    "tampered",
    "stripped",
    "unknown-signer",
    "unsealed",
    "unreadable",
]
# deliver: handed out, its original where it verified. mark: handed out with a warning in it, and explained beside it.
# withhold: not handed out, and explained.
Treatment = Literal["deliver", "mark", "withhold"]

DEFAULT_POLICY: dict[VerdictName, Treatment] = {
    "intact": "deliver",
    "transcoded": "deliver",
    "amended": "deliver",
    "lossy": "mark",
    "stripped": "mark",
    "altered": "mark",
    # Of an object that was compressed with loss nothing is left when its block is removed.
    "unsealed": "mark",
    "tampered": "withhold",
    "misidentified": "withhold",
    "unknown-signer": "withhold",
    "unreadable": "withhold",
}


def _possible(policy: dict[VerdictName, Treatment]) -> dict[VerdictName, Treatment]:
    if policy.get("unreadable") == "mark":
        raise ValueError(
            "unreadable: nothing can be written into what can't be parsed (withhold or deliver it)"
        )
    return policy


# What the defaults, or more general settings, do not say.
Policy = Annotated[dict[VerdictName, Treatment], AfterValidator(_possible)]


class RetrieveSettings(Table):
    # The name of the destination that is asked.
    archive: str
    # As which our Query/Retrieve service is called; nothing else is sent to this title.
    ae_title: AETitle
    # The archive's DICOMweb root; used with fetch = "wado".
    dicomweb: str | None = Field(default=None, pattern=r"^https?://[^/\s@]+(/\S*)?$")
    # How objects come from the archive; None: c-get. With wado, questions over DICOMweb are asked over DICOMweb, too.
    fetch: Literal["wado", "c-get", "c-move"] | None = None
    # Verdict -> treatment, where it is another than DEFAULT_POLICY.
    policy: Policy = Field(default_factory=dict)
    # The same for DICOMweb, where it goes first: a viewer that shows the verdict beside the image may get more.
    web_policy: Policy = Field(default_factory=dict)
    # Verified objects that are kept for DICOMweb, in encrypted files below data_dir; bytes.
    cache_bytes: int = Field(default=4 << 30, ge=1 << 20)
    # For so long the archive is not asked again whether an object is still the same; 0: it is asked each time.
    cache_fresh_s: float = Field(default=60.0, ge=0, le=86_400)
    # The most answers to one query.
    matches: int = Field(default=5_000, ge=1, le=1_000_000)
    # The most instances of one request to retrieve; the counts of PS3.7 have 16 bits.
    instances: int = Field(default=20_000, ge=1, le=65_000)
    # Requests to retrieve that are served at once.
    requests: int = Field(default=8, ge=1, le=1_000)
    # For one query, and for one request to retrieve.
    query_timeout_s: Seconds = 120.0
    timeout_s: Seconds = 7200.0
    # Worker processes that verify on the way back; 0: as many as gateway.workers.
    workers: int = Field(default=0, ge=0, le=256)

    @model_validator(mode="after")
    def _can_be_fetched(self) -> Self:
        if self.fetch == "wado" and self.dicomweb is None:
            raise ValueError(
                "dicomweb: missing, but fetch = 'wado' asks there (give the archive's DICOMweb root)"
            )
        return self

    def treatment(self, verdict: str, override: dict[VerdictName, Treatment]) -> Treatment:
        """What is done with an object of this verdict; one that nobody knows is withheld. See `treatments`."""
        return self.treatments(override).get(verdict, "withhold")

    def treatments(self, override: dict[VerdictName, Treatment]) -> dict[str, Treatment]:
        """Verdict -> what is done with such an object.

        override: the policy of the destination, which goes first.
        """
        merged: dict[str, Treatment] = {}
        for policy in (DEFAULT_POLICY, self.policy, override):
            for verdict, treatment in policy.items():
                merged[verdict] = treatment
        return merged
