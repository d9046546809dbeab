"""Spans that are kept, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field

from esper.utils.spans import Span


@dataclass
class KeptSpans:
    """Implements the port `Spans`."""

    spans: list[Span] = field(default_factory=list)
    closed: bool = False

    def record(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        self.closed = True
