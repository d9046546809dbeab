"""The colours of the report, once for pictures and once for the page.

A PNG has fixed colours. The page follows the reader's light or dark preference: there the same
drawing code paints with placeholder colours, and `themed` replaces each by a CSS variable.
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
    """The growth split."""
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
PLACEHOLDERS = Palette(**{role: f"#0e5b{index:02x}" for index, role in enumerate(ROLES)})


def themed(markup: str) -> str:
    """Replace every placeholder colour in `markup` by its CSS variable, for example `var(--ink)`."""
    for role, colour in zip(ROLES, astuple(PLACEHOLDERS), strict=True):
        markup = markup.replace(colour, f"var(--{css_name(role)})")
    return markup


def css_variables(palette: Palette) -> str:
    """The palette as CSS custom properties, one declaration after another."""
    pairs = zip(ROLES, astuple(palette), strict=True)
    return " ".join(f"--{css_name(role)}: {colour};" for role, colour in pairs)


def css_name(role: str) -> str:
    """Name of the CSS variable for a role, without the dashes in front."""
    return role.replace("_", "-")
