"""The metrics reference: every counter of every server."""

from __future__ import annotations

from docs.generator.prose import table
from prometheus_client import Counter

from esper.services.nissa import nissa_metrics as metrics
from esper.services.tezzeret import forge_metrics
from esper.web import http_metrics


def page() -> str:
    """The page."""
    return "\n".join(
        [
            "# Metrics\n",
            (
                "What the servers count, at `/metrics`, in Prometheus' text format. A histogram has\n"
                "`_bucket`, `_sum` and `_count`. [How to watch](../guides/observability.md).\n"
            ),
            "## Nissa\n",
            (metrics.__doc__ or "").split("\n\n")[1],
            table(
                ["metric", "labels", "what it is"],
                _declared({**metrics.OF_RUNS, **metrics.OF_PLATFORM}),
            )
            + "\n",
            "## Tezzeret\n",
            (forge_metrics.__doc__ or "").split("\n\n")[1] + "\n",
            table(["metric", "labels", "what it is"], _rows(forge_metrics.__doc__ or "")) + "\n",
            "## HTTP\n",
            (
                "Both servers count their exchanges: Urza's names begin with `esper_urza`, Nissa's with\n"
                "`esper_nissa`.\n"
            ),
            table(
                ["metric", "what it counts"],
                [
                    [f"`esper_{server}{name.strip('`')}`", what]
                    for server in ("nissa", "urza")
                    for name, what in _rows(http_metrics.__doc__ or "")
                ],
            ),
        ]
    )


def _declared(declared: metrics.Declared) -> list[list[str]]:
    return [
        [
            f"`esper_{name}{'_total' if kind is Counter else ''}`",
            ", ".join(f"`{label}`" for label in labels.split()),
            what,
        ]
        for name, (kind, labels, what) in declared.items()
    ]


def _rows(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [[part.strip() for part in row.strip("|").split("|")] for row in rows]
