"""Settings of the dashboard."""

from __future__ import annotations

from dataclasses import dataclass, fields

from esper.utils.ranges import POSITIVE, check_numbers


@dataclass(frozen=True, kw_only=True)
class DashboardConfig:
    """How the dashboard keeps its pages up to date, and how much it draws."""

    poll_seconds: float = 0.2
    """How often the store is asked whether there is something new for an open page."""
    tick_seconds: float = 2.0
    """How often a page is told to look again even if no line has come: for what is no line, such
    as the health of a service."""
    stream_seconds: float = 20.0
    """How long a page's stream of news stays open; the browser opens the next by itself. Short
    streams let a server end soon."""
    points: int = 1500
    """Most points that are drawn of one curve: about two for each pixel of its width."""
    runs_on_a_page: int = 25
    """Runs in one page of the list."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_numbers(self, "DashboardConfig.", **{one.name: POSITIVE for one in fields(self)})
