from __future__ import annotations

import pytest

from esper.contracts.site import Site


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("encoder.0.linear1", Site("encoder.0.linear1")),
        ("blocks.1+", Site("blocks.1", behind=True)),
        ("", Site("")),
        ("+", Site("", behind=True)),
    ],
)
def test_a_site_has_one_text(text: str, site: Site) -> None:
    assert Site.of(text) == site
    assert str(site) == text


@pytest.mark.parametrize(
    ("pattern", "module", "meant"),
    [
        ("blocks.*.norm1+", "blocks.0.norm1", True),
        ("blocks.*.norm1+", "blocks.11.norm1", True),
        ("blocks.*.norm1+", "blocks.0.norm2", False),
        ("blocks.*", "blocks.0.norm1", False),
        ("blocks.*", "blocks.0", True),
        ("*.norm*", "a.norm1", True),
        ("a.b", "a.b", True),
        ("a.b", "a.B", False),
    ],
)
def test_a_star_stands_for_any_part_of_one_name_between_dots(
    pattern: str, module: str, meant: bool
) -> None:
    assert Site.of(pattern).matches(module) is meant
    assert Site.of(pattern).is_pattern is ("*" in pattern)


def test_a_pattern_does_not_mean_the_whole_model_whose_name_is_empty() -> None:
    assert not Site.of("*+").matches("")
    assert Site.of("+").matches("")
    assert not Site.of("+").matches("fc1")
