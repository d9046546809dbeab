"""Feed 50,000 mutated kernel files to the loader: the fuzz suite of tests/fuzz at full length.

Run as `python -m benchmarks.fuzz_artifact [files] [seed]` from the repository's root; exits with
pytest's code. The suite itself says what counts as a failure.
"""

from __future__ import annotations

import os
import sys

import pytest


def main(arguments: list[str]) -> int:
    files, seed = [*arguments, *["50000", "0"][len(arguments) :]]
    os.environ["ESPER_FUZZ_FILES"] = files
    os.environ["ESPER_FUZZ_SEED"] = seed
    return int(pytest.main(["tests/fuzz", "-q", "-s"]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
