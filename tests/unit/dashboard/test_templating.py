from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import escape

from esper.dashboard.templating import Templates
from support.clocks import StillClock

SHARED = {"section": "", "live": False, "open_alerts": 0}


def trouble(text: str) -> str:
    return Templates(StillClock()).render(
        "trouble.html.j2", {"error": text, "status": 404, **SHARED}
    )


def test_whatever_a_run_is_called_stays_text() -> None:
    nasty = "<script>alert('run')</script>"
    page = trouble(nasty)
    assert nasty not in page
    assert str(escape(nasty)) in page


def test_control_characters_of_a_name_are_shown() -> None:
    assert r"\x1b[31mred" in trouble("\x1b[31mred")


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
