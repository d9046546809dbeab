"""The colours of pages and charts, as CSS variables: light, and dark where the reader asks for it.

The hues stay apart for the common forms of colour blindness, and every mark that carries a
meaning by colour carries it by shape or by text as well.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Palette:
    """One colour, as `#rrggbb`, for each role in a drawing."""

    paper: str
    """Background of the page."""
    panel: str
    """Background of boxes."""
    ink: str
    """Text and axes."""
    muted: str
    """Secondary text."""
    line: str
    """Grid lines and borders."""
    train: str
    """Training data."""
    growth: str
    """Held-out data."""
    grown: str
    """What was added."""
    grown_soft: str
    """Background of what was added."""
    declined: str
    """What was tried and not taken."""
    control: str
    """The control candidate."""
    warning: str
    """Culled, rolled back."""
    band: str
    """Spans of time: a race running."""


LIGHT = Palette(
    paper="#ffffff",
    panel="#f4f5f7",
    ink="#1b2130",
    muted="#5d677b",
    line="#dfe3ea",
    train="#8a93a6",
    growth="#2862c8",
    grown="#07735a",
    grown_soft="#dcf3ec",
    declined="#a9b1c1",
    control="#9a5709",
    warning="#bd3237",
    band="#efe9dc",
)
DARK = Palette(
    paper="#11151d",
    panel="#1b212c",
    ink="#e8ebf1",
    muted="#98a2b5",
    line="#2e3644",
    train="#8791a5",
    growth="#74a5ff",
    grown="#3fd0a6",
    grown_soft="#12382f",
    declined="#5d6779",
    control="#f0a54a",
    warning="#ff7b7f",
    band="#26251f",
)
ROLES = tuple(field.name for field in fields(Palette))


def css_variables(palette: Palette) -> str:
    """The palette as CSS custom properties, one declaration after another."""
    pairs = zip(ROLES, astuple(palette), strict=True)
    return " ".join(f"--{css_name(role)}: {colour};" for role, colour in pairs)


def css_name(role: str) -> str:
    """Name of the CSS variable for a role, without the dashes in front."""
    return role.replace("_", "-")


def themes() -> str:
    """Both palettes as a style sheet, chosen by the reader's system."""
    return (
        f":root {{ {css_variables(LIGHT)} color-scheme: light dark; }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {css_variables(DARK)} }} }}\n"
    )
