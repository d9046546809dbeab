"""Whether the fault tests go through everything, which takes minutes, or through the most telling."""

from __future__ import annotations

import os

LONG = os.environ.get("ESPER_FAULTS") == "long"
