"""The pages for whoever runs a library name what there is, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from docs import pages
from esper.cli.exit_codes import ExitCode
from esper.contracts.enums import Role
from esper.services.urza.client import client_config as client
from esper.services.urza.urza_config import OidcConfig, S3Access, UrzaConfig
from esper.web.http_metrics import HttpMetrics

REFERENCE = (pages.ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
THREATS = (pages.ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
GUIDE = (pages.ROOT / "docs" / "guides" / "library.md").read_text(encoding="utf-8")
ABOUT = [*(pages.ROOT / "docs").glob("*.md"), *(pages.ROOT / "docs" / "guides").glob("*.md")]


def settings() -> set[str]:
    groups = {"": UrzaConfig, "S3_": S3Access, "OIDC_": OidcConfig}
    names = {
        f"ESPER_URZA_{group}{field.name.upper()}"
        for group, kind in groups.items()
        for field in fields(kind)
    }
    return names | {client.URL, client.TOKEN, client.PLAIN_HTTP}


@pytest.mark.parametrize("page", ABOUT, ids=pages.shown)
def test_every_variable_that_is_named_is_a_setting(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {
        name.removesuffix("_FILE") for name in re.findall(r"ESPER_URZA_[A-Z0-9_]*[A-Z0-9]", text)
    }
    assert named <= settings()


def counted() -> list[Metric]:
    return list(HttpMetrics("esper_urza").registry.collect())


@pytest.mark.parametrize("metric", counted(), ids=lambda metric: metric.name)
def test_every_metric_is_documented(metric: Metric) -> None:
    name = metric.name + ("_total" if metric.type == "counter" else "")
    assert f"| `{name}` |" in REFERENCE


def test_no_metric_is_documented_that_is_not_there() -> None:
    names = {metric.name for metric in counted()}
    documented = re.findall(r"^\| `(esper_urza_\w+)` \|", REFERENCE, re.MULTILINE)
    assert {name.removesuffix("_total") for name in documented} == names


@pytest.mark.parametrize("role", Role)
def test_every_role_is_documented(role: Role) -> None:
    assert f"| `{role.value}` |" in GUIDE


def test_the_exit_codes_that_are_named_are_the_ones_that_are_used() -> None:
    assert f"{ExitCode.REFUSED.value}, the library refused" in GUIDE
    assert f"{ExitCode.UNAVAILABLE.value}, it cannot be reached" in GUIDE.replace("\n", " ")


def test_the_tests_that_the_threat_model_relies_on_exist() -> None:
    named = re.findall(r"`(tests/[^`]+)`", THREATS)
    assert len(named) > 20
    assert not [name for name in named if not (pages.ROOT / name).is_file()]
