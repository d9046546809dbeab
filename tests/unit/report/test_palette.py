from __future__ import annotations

import re

import pytest

from esper.report.palette import DARK, LIGHT, ROLES, Palette, themes


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("role", ["ink", "muted", "growth", "control", "warning"])
def test_text_colours_are_readable_on_paper(palette: Palette, role: str) -> None:
    assert contrast(getattr(palette, role), palette.paper) >= 4.0


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_on_what_was_added_is_readable(palette: Palette) -> None:
    assert contrast(palette.ink, palette.grown_soft) >= 7.0
    assert contrast(palette.muted, palette.grown_soft) >= 4.0


def test_colours_are_there_for_light_and_for_dark() -> None:
    light, dark = themes().split("@media", 1)
    names = re.findall(r"--[\w-]+(?=:)", light)
    assert len(names) == len(ROLES)
    assert names == re.findall(r"--[\w-]+(?=:)", dark)
