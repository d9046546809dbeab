"""All host types that come with Esper: importing this file registers them."""

from __future__ import annotations

from esper.execution.hosts import attention as _attention  # noqa: F401 - registers
from esper.execution.hosts import conv as _conv  # noqa: F401 - registers
from esper.execution.hosts import embedding as _embedding  # noqa: F401 - registers
from esper.execution.hosts import linear as _linear  # noqa: F401 - registers
from esper.execution.hosts import norm as _norm  # noqa: F401 - registers
from esper.execution.hosts import recurrent as _recurrent  # noqa: F401 - registers
from esper.execution.hosts.host_registry import HOSTS

__all__ = ["HOSTS"]
