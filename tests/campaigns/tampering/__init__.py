"""What people do to sealed objects, with the tools that they have, and what verifying finds.

`python -m tests.campaigns.tampering` does all of it and writes docs/tampering.md. Each change is a row of a table: who
does what with which tool, to which objects it applies, and what must be found.
"""
