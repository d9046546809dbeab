"""Says that somebody has seen an alert."""

from __future__ import annotations

import getpass

from rich.text import Text

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.platform_requests import NissaAcknowledgeRequest
from esper.cli.work.run_stores import with_store
from esper.contracts.base import as_name


def run(request: NissaAcknowledgeRequest) -> int:
    """Carry out `esper nissa acknowledge`.

    Raises:
        AlertNotFoundError: there is no such alert.
        RunStoreError: the store cannot serve.
    """
    by = as_name(request.by or getpass.getuser())
    alert = with_store(request.store, lambda store: store.acknowledge(request.alert, by))
    assert alert.acknowledged is not None
    seen = f"seen by {alert.acknowledged.by} at {alert.acknowledged.at:%Y-%m-%d %H:%M:%S}"
    output().print(Text(f"{alert.rule.value} {alert.subject}: {seen}"), soft_wrap=True)
    return ExitCode.OK
