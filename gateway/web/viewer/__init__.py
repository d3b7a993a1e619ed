"""OHIF with our verdicts: where it comes from, how it is served, and what we add to it."""
