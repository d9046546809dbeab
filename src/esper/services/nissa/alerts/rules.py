"""The rules, by what they look at. A new rule is one file beside this one, and one row here."""

from __future__ import annotations

from typing import Final

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.bus_lag import BusLag
from esper.services.nissa.alerts.cache_miss_storm import CacheMissStorm
from esper.services.nissa.alerts.dead_units import DeadUnits
from esper.services.nissa.alerts.finding import PlatformRule, RunRule
from esper.services.nissa.alerts.gradient_explosion import GradientExplosion
from esper.services.nissa.alerts.loss_spike import LossSpike
from esper.services.nissa.alerts.not_finite import NotFinite
from esper.services.nissa.alerts.plateau import Plateau
from esper.services.nissa.alerts.stalled_race import StalledRace
from esper.services.nissa.alerts.worker_lost import WorkerLost

RUN_RULES: Final = (
    LossSpike,
    Plateau,
    NotFinite,
    DeadUnits,
    GradientExplosion,
    StalledRace,
)
"""Look at a run's lines."""
PLATFORM_RULES: Final = (WorkerLost, BusLag, CacheMissStorm)
"""Look at everything else."""


def run_rules(config: AlertConfig) -> tuple[RunRule, ...]:
    """Return the rules for one run, with nothing seen."""
    return tuple(rule(config) for rule in RUN_RULES)


def platform_rules(config: AlertConfig) -> tuple[PlatformRule, ...]:
    """Return the rules for the platform, with nothing seen."""
    return tuple(rule(config) for rule in PLATFORM_RULES)
