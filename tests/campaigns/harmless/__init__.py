"""What archives do to sealed objects, and what verifying makes of it: `python -m tests.campaigns.harmless`."""
