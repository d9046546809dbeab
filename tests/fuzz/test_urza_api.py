"""schemathesis against the library's API, stateful, on SQLite, and on PostgreSQL in the long form.

No 5xx, and nothing that the description does not say: statuses, media types, headers, bodies; what
breaks the schema is refused; what is deleted is gone; what needs a token is not had without.
`ESPER_FUZZ_SECONDS` makes it long (`make fuzz-api`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import kernels
from esper.contracts.enums import Role
from esper.services.urza.access import ACCESS
from support.urza_app import API, Process, blueprint, process, registration

SECONDS = int(os.environ.get("ESPER_FUZZ_SECONDS", "0"))
TESTS = Path(__file__).parents[1]

# 412, 413, 422 and 428: a schema cannot say how large a body is, that a digest is that of the bytes,
# that a graph computes what its figures say, or which revision a record is at.
CONFIG = """
seed = {seed}
hooks = "support.api_hooks"
request-timeout = 300.0

[dictionaries]
kernels = {{ values = {kernels} }}
blueprints = {{ values = ["bp-1", "bp-2", "bp-3"] }}
aliases = {{ values = ["edge@production", "edge@staging"] }}

[parameters]
"path.kernel_id" = {{ dictionary = "kernels", probability = 0.7 }}
"path.digest" = {{ dictionary = "kernels", probability = 0.7 }}
"path.blueprint_id" = {{ dictionary = "blueprints", probability = 0.7 }}
"path.name" = {{ dictionary = "aliases", probability = 0.7 }}

[phases.stateful]
generation.max-examples = {scenarios}

[checks]
positive_data_acceptance.expected-statuses = [
    "2xx", "304", "401", "403", "404", "409", "412", "413", "416", "422", "428"
]
negative_data_rejection.expected-statuses = [
    "400", "401", "403", "404", "405", "406", "409", "411", "412", "413", "415", "422", "428"
]
missing_required_header.expected-statuses = ["401", "422", "428"]
"""


@pytest.fixture(params=["sqlite", "postgres"] if SECONDS else ["sqlite"])
def urza(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    settings = {"rate_per_second": 0, "max_body_bytes": 1 << 20}
    if request.param == "postgres":
        settings["database_url"] = request.getfixturevalue("postgres_url")
    with process(tmp_path / "library", **settings) as server:
        yield server


def _fill(urza: Process) -> list[str]:
    """Store two kernels, one with an alias, and three blueprints; return the kernels' ids."""
    admin = {"Authorization": f"Bearer {urza.secrets[Role.ADMIN]}"}
    ids = []
    with httpx.Client(base_url=urza.url + API, headers=admin, timeout=300) as client:
        for seed in range(3):
            data = kernels.kernel_file(seed=seed)
            ids.append(hashlib.sha256(data).hexdigest())
            client.put(f"/blobs/{ids[-1]}", content=data).raise_for_status()
        for kernel_id in ids[:2]:
            body = registration(kernel_id).model_dump(mode="json")
            client.post("/kernels/", json=body).raise_for_status()
        target, new = {"kernel_id": ids[0]}, {"If-None-Match": "*"}
        client.put("/aliases/edge@staging", json=target, headers=new).raise_for_status()
        for number in (1, 2, 3):
            body = blueprint(f"bp-{number}").model_dump(mode="json")
            client.post("/blueprints/", json=body).raise_for_status()
    return ids


def _never_successful(urza: Process) -> set[str]:
    """Routes that only refused, by the server's own counters."""
    reader = {"Authorization": f"Bearer {urza.secrets[Role.READER]}"}
    counters = httpx.get(f"{urza.url}/metrics", headers=reader, timeout=300).raise_for_status().text
    done = re.findall(r'esper_urza_requests_total{.*route="(\w+)",status="2', counters)
    return set(ACCESS) - set(done)


@pytest.mark.slow
@pytest.mark.timeout(900 + 3 * SECONDS)
def test_no_request_breaks_the_server_or_the_description(urza: Process, tmp_path: Path) -> None:
    ids = _fill(urza)
    config = tmp_path / "schemathesis.toml"
    seed = 1 if not SECONDS else os.getpid()
    text = CONFIG.format(seed=seed, kernels=json.dumps(ids), scenarios=200 if SECONDS else 40)
    config.write_text(text, encoding="utf-8")
    tokens = [secret.split("_")[1] for secret in urza.secrets.values()]
    seeds = {
        "blueprint": blueprint().model_dump(mode="json"),
        "kernels": ids,
        "token": urza.secrets[Role.ADMIN],
        "tokens": tokens,
        "url": urza.url,
    }
    length = ["--max-time", str(SECONDS)] if SECONDS else ["--max-examples", "4"]
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config)),
            *("run", f"{urza.url}/openapi.json", "--no-color"),
            *("-H", f"Authorization: Bearer {urza.secrets[Role.ADMIN]}"),
            *("--phases", "coverage,fuzzing,stateful", "--continue-on-failure", *length),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS), "ESPER_API_SEEDS": json.dumps(seeds)},
        capture_output=True,
        text=True,
        check=False,
    )
    if SECONDS:
        sys.stdout.write(done.stdout[-4000:])
    assert done.returncode == 0, done.stdout + done.stderr
    refused = _never_successful(urza)
    # A short run may miss one or another; if it misses many, it tests little but refusals.
    assert len(refused) <= (0 if SECONDS else 3), f"the requests were no test of these: {refused}"
    urza.terminate()
    status, log = urza.finished()
    assert status == 0
    assert "urza failed" not in log, log
    assert all(secret not in log for secret in urza.secrets.values())
