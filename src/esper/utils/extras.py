"""Optional extras: what is installed only where it is needed, and how its lack is reported."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Final

from esper.contracts.errors import ConfigError

EXTRA_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aiosqlite": "urza",
        "alembic": "urza",
        "asyncpg": "urza",
        "cryptography": "library",
        "fastapi": "urza",
        "hiredis": "oona",
        "httpx": "library",
        "jwt": "urza",
        "mlflow": "mlflow",
        "mnist1d": "data",
        "orjson": "oona",
        "opentelemetry": "tracing",
        "prometheus_client": "urza",
        "psutil": "tezzeret",
        "pyarrow": "parquet",
        "redis": "library",
        "sklearn": "data",
        "sqlalchemy": "urza",
        "starlette": "urza",
        "tensorboard": "tensorboard",
        "trackio": "trackio",
        "uvicorn": "urza",
        "wandb": "wandb",
    }
)
"""Package as it is imported -> the smallest extra that brings it."""


def load(module: str, *, extra: str | None = None) -> ModuleType:
    """Import a module of ours that may need an extra.

    Args:
        module: Its full name.
        extra: The extra that brings all that it needs; None names the one that brings what is
            found missing first.

    Raises:
        ConfigError: A package that it needs is not installed; names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        told = lack(error, extra=extra)
        if told is None:
            raise
        raise told from error


def lack(error: Exception, *, extra: str | None = None) -> ConfigError | None:
    """Return what to tell of an import that failed, where an extra brings the package.

    Args:
        error: What the import raised.
        extra: The extra to name; None names the one that brings what is missing.
    """
    if not isinstance(error, ModuleNotFoundError):
        return None
    missing = (error.name or "").partition(".")[0]
    if missing not in EXTRA_OF:
        return None
    return ConfigError(
        f"this needs the package {missing!r}, which is not installed; install it with "
        f"pip install 'esper-morphogenetic[{extra or EXTRA_OF[missing]}]'"
    )
