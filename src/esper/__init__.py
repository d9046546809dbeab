"""Esper: neural networks that change their own structure while they train.

Start reading at `contracts/lifecycle.py`, then `execution/kasmina_layer.py`.
"""

# Lazy: importing esper costs milliseconds and no torch; a name's module is imported when the name
# is first used. Type checkers see the real imports below. Code inside the package never imports
# this file.

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from esper.contracts import version

if TYPE_CHECKING:
    from esper.configs import EsperConfig as EsperConfig
    from esper.contracts.errors import EsperError as EsperError
    from esper.contracts.lifecycle import SeedLifecycleState as SeedLifecycleState
    from esper.core.export import export as export
    from esper.core.model_wrapper import unwrap as unwrap
    from esper.core.model_wrapper import wrap as wrap
    from esper.core.morphable_model import MorphableModel as MorphableModel
    from esper.execution.hosts.host_registry import register_host as register_host
    from esper.execution.kasmina_layer import KasminaLayer as KasminaLayer
    from esper.orchestration.growth_config import GrowthConfig as GrowthConfig
    from esper.orchestration.growth_config import GrowthLimits as GrowthLimits
    from esper.orchestration.orchestrator import SeedOrchestrator as SeedOrchestrator

__version__ = version.VERSION
__api_version__ = version.API_VERSION

_HOME = {
    "EsperConfig": "esper.configs",
    "EsperError": "esper.contracts.errors",
    "GrowthConfig": "esper.orchestration.growth_config",
    "GrowthLimits": "esper.orchestration.growth_config",
    "KasminaLayer": "esper.execution.kasmina_layer",
    "MorphableModel": "esper.core.morphable_model",
    "SeedLifecycleState": "esper.contracts.lifecycle",
    "SeedOrchestrator": "esper.orchestration.orchestrator",
    "export": "esper.core.export",
    "register_host": "esper.execution.hosts.host_registry",
    "unwrap": "esper.core.model_wrapper",
    "wrap": "esper.core.model_wrapper",
}

__all__ = [
    "EsperConfig",
    "EsperError",
    "GrowthConfig",
    "GrowthLimits",
    "KasminaLayer",
    "MorphableModel",
    "SeedLifecycleState",
    "SeedOrchestrator",
    "__api_version__",
    "__version__",
    "export",
    "register_host",
    "unwrap",
    "wrap",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'esper' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
