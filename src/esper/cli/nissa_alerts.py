"""Lists alerts."""

from __future__ import annotations

from rich.text import Text

from esper.cli.console import diagnostics, output, print_notice
from esper.cli.exit_codes import ExitCode
from esper.cli.platform_requests import NissaAlertsRequest
from esper.cli.work.library_text import print_json
from esper.cli.work.run_stores import with_store


def run(request: NissaAlertsRequest) -> int:
    """Carry out `esper nissa alerts`.

    Raises:
        RunStoreError: the store cannot serve.
    """
    found = with_store(request.store, lambda store: store.alerts(open_only=not request.everything))
    if not request.everything:
        found = [alert for alert in found if alert.acknowledged is None]
    if request.as_json:
        print_json(output(), found)
    elif not found:
        print_notice(diagnostics(), "no alerts")
    for alert in () if request.as_json else found:
        place = "" if alert.run_id is None else f" of run {alert.run_id}"
        seen = "" if alert.acknowledged is None else f", seen by {alert.acknowledged.by}"
        over = "" if alert.ended_at is None else f", over at {alert.ended_at:%Y-%m-%d %H:%M:%S}"
        head = f"{alert.alert_id}  {alert.severity.value} {alert.rule.value}{place}"
        told = f"{alert.raised_at:%Y-%m-%d %H:%M:%S}{over}{seen}: {alert.message}"
        output().print(Text(f"{head}\n  {told}\n  {alert.rule.runbook}"), soft_wrap=True)
    return ExitCode.OK
