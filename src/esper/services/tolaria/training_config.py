"""What a user may say about a training run, in Python or in YAML with ``key=value`` overrides.

Unset values come from the data set's recipe.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from esper.contracts.errors import ConfigError
from esper.orchestration.growth_config import GrowthConfig
from esper.utils.nearest import did_you_mean
from esper.utils.ranges import (
    AT_LEAST_0,
    BELOW_1,
    COUNT,
    POSITIVE,
    POSITIVE_SHARE,
    SEED,
    SHARE,
    WHOLE,
    Range,
    check_numbers,
)
from esper.utils.yaml_file import parse_yaml_value


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer of the model's parameters."""

    name: Literal["sgd", "adam", "adamw", "rmsprop"] = "adamw"
    """Which one."""
    lr: float | None = None
    """Peak learning rate; ``None`` takes the recipe's."""
    weight_decay: float | None = None
    """Weight decay; ``None`` takes the recipe's."""
    momentum: float = 0.9
    """Momentum of ``sgd`` and ``rmsprop``, in [0, 1)."""
    nesterov: bool = False
    """Nesterov momentum, for ``sgd``."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the moments of ``adam`` and ``adamw``, each in [0, 1)."""
    eps: float = 1e-8
    """Added to the denominator by all but ``sgd``."""

    def __post_init__(self) -> None:
        check_numbers(
            self,
            "optimizer.",
            lr=AT_LEAST_0,
            weight_decay=AT_LEAST_0,
            momentum=BELOW_1,
            betas=BELOW_1,
            eps=POSITIVE,
        )


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The course of the learning rate, as a factor of its peak."""

    name: Literal["none", "cosine", "linear", "onecycle", "step"] = "cosine"
    """Shape after the warm-up."""
    warmup: int = 0
    """Steps of linear warm-up before it (``onecycle`` has its own and takes none)."""
    final: float = 0.0
    """Factor at the end of ``cosine`` and ``linear``, in [0, 1]."""
    every: float = 0.3
    """Share of the run between two drops of ``step``, in (0, 1]."""
    drop: float = 0.1
    """Factor of each drop of ``step``, in (0, 1]."""

    def __post_init__(self) -> None:
        check_numbers(
            self,
            "schedule.",
            warmup=COUNT,
            final=SHARE,
            every=POSITIVE_SHARE,
            drop=POSITIVE_SHARE,
        )


@dataclass(frozen=True, kw_only=True)
class EarlyStopConfig:
    """Ending a run whose growth loss no longer falls."""

    patience: int = 0
    """Evaluations without improvement after which the run ends; 0 never ends it early."""
    min_delta: float = 0.0
    """A fall of the growth loss smaller than this is no improvement."""

    def __post_init__(self) -> None:
        check_numbers(self, "early_stop.", patience=COUNT, min_delta=AT_LEAST_0)


@dataclass(frozen=True, kw_only=True)
class LibraryConfig:
    """Kernels of other runs, and what this run passes on."""

    url: str | None = None
    """Address of the library (Urza); ``None`` asks none. Tokens come from the environment."""
    enter: int = 3
    """Kernels of the library that may enter races with their weights, at most; those with the
    largest proven gain first."""
    deposit: bool = False
    """Whether kernels that the run keeps go to the library at its end."""
    trusted_keys: tuple[Path, ...] = ()
    """Files of public keys: only kernels that one of them signed may enter. Empty: any may."""

    def __post_init__(self) -> None:
        check_numbers(self, "library.", enter=COUNT)
        if self.deposit and self.url is None:
            raise ConfigError("library.deposit is True; expected false where library.url is null")


@dataclass(frozen=True, kw_only=True)
class TolariaConfig:
    """One training run."""

    data: str
    """A quick-start's name, or ``package.module:factory`` of a function that returns a
    :class:`~esper.data.bundle.DataBundle`."""
    output: Path
    """Folder of the run; it must not hold another run."""
    data_args: dict[str, Any] = field(default_factory=dict)
    """Options of the data set, for example ``path`` of ``text``."""
    data_dir: Path | None = None
    """Folder to look for data in first, and to download into."""
    model: str | None = None
    """A quick-start model's name, or ``package.module:factory``; ``None`` takes the data set's
    default host. A factory that has a parameter ``bundle`` is given the data."""
    model_args: dict[str, Any] = field(default_factory=dict)
    """Options of the model, for example ``hidden``."""
    target_layers: tuple[str, ...] | None = None
    """Qualified names of the layers that may grow; ``None`` takes all that can."""

    seed: int = 0
    """Of everything random: initial weights, batches, the growth split, the races."""
    steps: int | None = None
    """Optimizer steps; ``None`` takes ``epochs``, or the recipe's."""
    epochs: int | None = None
    """Passes over the training split, where ``steps`` is ``None``."""
    batch_size: int | None = None
    """Samples of one optimizer step; ``None`` takes the recipe's."""
    accumulation: int = 1
    """Equal pieces that a batch is computed in, to save memory."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The optimizer."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """The course of the learning rate."""
    clip_norm: float | None = None
    """Largest norm of all gradients together; ``None`` does not clip."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16`` runs forward passes under autocast; weights stay float32."""
    compile: bool = False
    """Train through ``torch.compile``."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, …; ``auto`` takes CUDA where there is some."""

    growth_fraction: float = 0.1
    """Share of the training data held out as growth split, in (0, 0.5]."""
    grow: bool = True
    """Whether the model may grow; off, the same run trains the static host."""
    growth: GrowthConfig = field(default_factory=GrowthConfig)
    """The growth cycle."""
    nursery: Literal["inline", "process"] = "inline"
    """Where races are held: ``inline`` in the training loop, ``process`` in a worker process
    beside it. With a worker the step at which a kernel comes in depends on the machine's speed."""
    library: LibraryConfig = field(default_factory=LibraryConfig)
    """Kernels of other runs, and what this run passes on."""
    early_stop: EarlyStopConfig = field(default_factory=EarlyStopConfig)
    """Ending early."""

    log_every: int = 50
    """Steps between ``step`` records of the log."""
    eval_every: int | None = None
    """Steps between evaluations on the growth split; ``None``: 20 in the whole run."""
    eval_samples: int = 1000
    """Growth-split samples of such an evaluation, at most."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        counts = ("accumulation", "log_every", "eval_samples", "checkpoint_every")
        optional = ("steps", "epochs", "batch_size", "eval_every")
        check_numbers(
            self,
            "",
            **dict.fromkeys((*counts, *optional), WHOLE),
            seed=SEED,
            clip_norm=POSITIVE,
            growth_fraction=Range(words="in (0, 0.5]", low=0, above=True, high=0.5),
        )


_ADAPTER = TypeAdapter(TolariaConfig)


def config_from_mapping(values: Mapping[str, Any]) -> TolariaConfig:
    """Build a config from nested mappings, every key and type checked.

    Raises:
        ConfigError: a key is unknown (the message names the nearest one), missing, or its value
            is of the wrong type or out of range.
    """
    check_keys(values, TolariaConfig)
    try:
        return _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        raise ConfigError("; ".join(_spell(e) for e in error.errors())) from error


def config_to_mapping(config: TolariaConfig) -> dict[str, Any]:
    """The config as nested plain values, as :func:`config_from_mapping` takes them."""
    mapping: dict[str, Any] = _ADAPTER.dump_python(config, mode="json")
    return mapping


def write_yaml(config: TolariaConfig) -> str:
    """The config as YAML text that `read_yaml` reads."""
    return yaml.safe_dump(config_to_mapping(config), sort_keys=False, allow_unicode=True)


def with_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of ``values`` with ``key=value`` settings laid over it.

    Args:
        values: nested mappings.
        overrides: for example ``"optimizer.lr=1e-3"``; the value is read as YAML, so that
            ``null``, ``true``, numbers and ``[16, 16]`` mean what they look like.

    Raises:
        ConfigError: an override has no ``=``, an empty key, or reaches into a plain value.
    """
    result = deepcopy(dict(values))
    for override in overrides:
        path, equals, text = override.partition("=")
        names = path.strip().split(".")
        if not equals or not all(names):
            raise ConfigError(f"--set {override!r}: expected key=value, like optimizer.lr=1e-3")
        place = result
        for name in names[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {override!r}: {name!r} is a value, it holds no settings")
        place[names[-1]] = parse_yaml_value(text, origin=f"--set {override!r}: the value")
    return result


def check_keys(values: Mapping[str, Any], kind: type, prefix: str = "") -> None:
    """Refuse keys that the dataclass ``kind`` does not have.

    Raises:
        ConfigError: naming the key in full, the nearest known one, and all known ones.
    """
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"there is no setting {prefix}{key}. {did_you_mean(str(key), known)}")
        if is_dataclass(hints[key]) and isinstance(value, Mapping):
            check_keys(value, hints[key], f"{prefix}{key}.")


def _spell(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{key} is missing: give it a value"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])  # raised by a `__post_init__`, which names the key
    return f"{key} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
