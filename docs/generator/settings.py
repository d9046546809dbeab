"""The settings reference: every field of every configuration class."""

from __future__ import annotations

from docs.generator.prose import cell, inline, table
from docs.generator.source import Field, class_of, docstring, fields, link_to

RUN = (
    ("", "esper.services.tolaria.training_config", "TolariaConfig"),
    ("optimizer.", "esper.services.tolaria.training_config", "OptimizerConfig"),
    ("schedule.", "esper.services.tolaria.training_config", "ScheduleConfig"),
    ("early_stop.", "esper.services.tolaria.training_config", "EarlyStopConfig"),
    ("library.", "esper.services.tolaria.training_config", "LibraryConfig"),
    ("growth.", "esper.orchestration.growth_config", "GrowthConfig"),
    ("growth.limits.", "esper.orchestration.growth_config", "GrowthLimits"),
)
"""Sections of a training run's settings: prefix of the key, module, class."""

PLATFORM = (
    ("", "esper.configs", "EsperConfig"),
    ("database.", "esper.configs", "DatabaseConfig"),
    ("redis.", "esper.configs", "RedisConfig"),
    ("storage.", "esper.configs", "StorageConfig"),
    ("components.NAME.", "esper.configs", "ComponentConfig"),
    ("training.", "esper.configs", "TrainingConfig"),
    ("logging.", "esper.configs", "LoggingConfig"),
)
"""Sections of a platform's configuration."""

LIBRARY = (
    ("ESPER_URZA_", "esper.services.urza.urza_config", "UrzaConfig"),
    ("ESPER_URZA_S3_", "esper.services.urza.urza_config", "S3Access"),
    ("ESPER_URZA_OIDC_", "esper.services.urza.urza_config", "OidcConfig"),
)
"""Settings of a library's server: prefix of the variable, module, class."""

OBSERVER = (
    ("ESPER_NISSA_", "esper.services.nissa.nissa_config", "NissaConfig"),
    ("ESPER_ALERT_", "esper.services.nissa.alerts.alert_config", "AlertConfig"),
)
"""Settings of the observer: prefix of the variable, module, class."""

HOSTING = (("", "esper.hosting.hosting_config", "HostingConfig"),)
"""Settings of a platform on one machine: prefix of the key, module, class."""

FORGE = (("", "esper.services.tezzeret.forge_config", "TezzeretConfig"),)
"""Settings of the forge: prefix of the key, module, class."""

CLIENT = (("", "esper.services.urza.client.client_config", "ClientConfig"),)
"""Settings of a library's client."""

GROUPS = frozenset({"s3", "oidc"})
"""Fields that are sections of their own."""


CACHE = (
    ("", "esper.execution.cache_config", "KernelCacheConfig"),
    ("redis.", "esper.execution.cache_config", "RedisTierConfig"),
    ("redis.breaker.", "esper.execution.circuit_breaker", "BreakerConfig"),
)
"""Sections of a kernel cache's settings."""


def page() -> str:
    """The page."""
    return "\n".join(
        [
            "# Settings\n",
            (
                "Every setting, with its default; [the guide](../guides/configuration.md) says how "
                "they are given.\nA setting without a default must be given.\n"
            ),
            "## A training run\n",
            (
                "What `esper train --config FILE` reads and `--set KEY=VALUE` changes. In your own "
                "loop, `esper.GrowthConfig` and\n`GrowthLimits` are the same classes as the sections "
                "`growth` and `growth.limits`.\n"
            ),
            *(_section(*section) for section in RUN),
            "## A platform\n",
            "What `esper.EsperConfig.from_yaml(FILE)` reads.\n",
            *(_section(*section) for section in PLATFORM),
            "## A platform on one machine\n",
            (
                "What `esper up` decides by; it has options for what differs between machines. "
                "[The guide](../guides/platform.md)\nsays what happens with it.\n"
            ),
            *(_section(*section) for section in HOSTING),
            "## A kernel cache\n",
            (
                "What `bootstrap.kernel_cache` takes; [the guide](../guides/kernel-cache.md) says what "
                "happens with it.\n"
            ),
            *(_section(*section) for section in CACHE),
            "## A library\n",
            (
                "What `esper urza serve` reads from the environment. `NAME_FILE` in place of `NAME` "
                "names a file that holds\nthe value, which is how secrets are given. "
                "[Operations](../operations.md) says what to set when.\n"
            ),
            *(_section(*section, variables=True) for section in LIBRARY),
            "## A library's client\n",
            (
                "What `esper.services.urza.client.client_config.ClientConfig` takes. Commands read "
                "`ESPER_URZA_URL`, `ESPER_URZA_TOKEN` (or\n`ESPER_URZA_TOKEN_FILE`) and "
                "`ESPER_URZA_ALLOW_PLAIN_HTTP`.\n"
            ),
            *(_section(*section) for section in CLIENT),
            "## The observer\n",
            (
                "What `esper nissa serve` reads from the environment; here too `NAME_FILE` names a "
                "file that holds the value.\n[The guide](../guides/observability.md) says what "
                "happens with it, [the runbook](../runbook.md) what the alerts mean.\n"
            ),
            *(_section(*section, variables=True) for section in OBSERVER),
            "## A forge\n",
            (
                "What `bootstrap.forge` takes; `esper tezzeret run` has options for most. "
                "[The guide](../guides/forge.md) says\nwhat happens with it.\n"
            ),
            *(_section(*section) for section in FORGE),
        ]
    )


def _section(prefix: str, module: str, name: str, *, variables: bool = False) -> str:
    node = class_of(module, name)
    found = [f for f in fields(node) if not (variables and f.name in GROUPS)]
    rows = [_row(prefix, f, f.name.upper() if variables else f.name) for f in found]
    return (
        f"### `{name}`\n\n{inline(docstring(node))}\n"
        f"([source]({link_to(module, 2)}))\n\n"
        + table(("setting", "type", "default", "meaning"), rows)
        + "\n"
    )


def _row(prefix: str, setting: Field, name: str) -> tuple[str, str, str, str]:
    default = "required" if setting.default is None else f"`{setting.default}`"
    kind = setting.kind.replace("|", r"\|")
    return (f"`{prefix}{name}`", f"`{kind}`", default, cell(setting.text))
