"""What a dying process leaves on the disk of its memory."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import resource
from pathlib import Path
from gateway.runtime.core_dumps import empty_dumps
empty_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE), Path("/proc/self/coredump_filter").read_text().strip())
"""


def test_neither_a_file_nor_a_program_gets_the_memory_of_a_process_that_died() -> None:
    """core(5): the limit is for files, the filter for programs that dumps are piped to."""
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["(0,", "0)", "00000000"]
