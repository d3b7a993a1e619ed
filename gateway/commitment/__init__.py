"""Storage commitment, Push Model (PS3.4 annex J): towards modalities, and towards archives."""
