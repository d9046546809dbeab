"""The version of this package and of its public API: written here and nowhere else."""

from __future__ import annotations

VERSION = "0.2.0"
"""Version of the distribution `esper-morphogenetic`."""

API_VERSION = "v1"
"""Version of the public API: changes only when a documented name or meaning does."""
