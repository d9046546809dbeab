from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import escape

from esper.contracts.enums import SeedState
from esper.dashboard.templating import GLYPHS, NAMES, Templates, palettes
from esper.dashboard.views.slot_view import WORDS
from support.clocks import StillClock

SHARED = {"section": "", "live": "", "open_alerts": 0}


def trouble(text: str) -> str:
    return Templates(StillClock()).render(
        "trouble.html.j2", {"error": text, "status": 404, **SHARED}
    )


def test_whatever_a_run_is_called_stays_text() -> None:
    nasty = "<script>alert('run')</script>"
    page = trouble(nasty)
    assert nasty not in page
    assert str(escape(nasty)) in page


def test_every_state_has_a_name_a_meaning_and_a_shape_of_its_own() -> None:
    for table in (GLYPHS, NAMES, WORDS):
        assert set(table) == set(SeedState)
        assert len(set(table.values())) == len(SeedState)


def test_a_figure_carries_its_exact_value() -> None:
    render = Templates(StillClock())._environment.from_string("{{ v | value('3.1 %') }}").render
    assert render(v=0.0314159265358979) == '<data value="0.0314159265358979">3.1 %</data>'
    assert "—" in render(v=None)


def test_times_are_told_by_how_long_ago_they_were() -> None:
    clock = StillClock()
    render = Templates(clock)._environment.from_string("{{ t | ago }}").render
    moment = datetime.fromtimestamp(clock.now(), UTC)
    said = []
    for seconds in (0, 30, 60, 3_600, 90_000):
        clock.advance(seconds)
        found = re.search(r">(.*)</time>", render(t=moment))
        assert found
        said.append(found[1])
    assert said == ["now", "30 s ago", "1 min ago", "1 h ago", "1 d ago"]


def test_colours_are_there_for_light_and_for_dark() -> None:
    light, dark = palettes().split("@media", 1)
    assert set(re.findall(r"--[\w-]+(?=:)", light)) == set(re.findall(r"--[\w-]+(?=:)", dark))
