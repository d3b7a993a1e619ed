"""UIDs that several rooms name: SOP classes that are no storage, and what this implementation calls itself."""

from __future__ import annotations

# SOP class of C-ECHO, PS3.4 annex A.
VERIFICATION = "1.2.840.10008.1.1"
# Push Model, PS3.4 annex J.
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"

# Query/Retrieve, PS3.4 C.6.
PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"

# In associations (PS3.7 D.3.3.2) and in file meta information (PS3.10 7.1).
IMPLEMENTATION_CLASS_UID = "1.2.826.0.1.3680043.8.498.71019472284130562984"
IMPLEMENTATION_VERSION = "SEALGATE_0.1"
