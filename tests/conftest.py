"""What every test starts from: threads that sleep, seeded generators, hypothesis without clocks."""

from __future__ import annotations

import getpass
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

# Before torch is imported anywhere: spinning OpenMP threads make small models crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
# No test finds the platform, the runs or the kernels of whoever runs it. Kept from one time to the
# next: compiled kernels lie there.
os.environ["ESPER_HOME"] = str(Path(tempfile.gettempdir()) / f"esper-tests-{getpass.getuser()}")

# Whoever starts the tests in the background, or under nohup, may have had these ignored, and
# programs that the tests start and interrupt would ignore them, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import pytest
from hypothesis import HealthCheck, settings

from support import forked

# Processes that `multiprocessing` starts are forked from a server that has torch loaded, too.
forked.install()

for _name in ("ESPER_REDIS_URL", "ESPER_REDIS_URL_FILE", "ESPER_RUN_STORE"):
    os.environ.pop(_name, None)

# Fixtures for real PostgreSQL, S3 and Valkey servers; none starts before a test asks for it.
pytest_plugins = ["support.servers.postgres", "support.servers.s3", "support.servers.valkey"]

# Examples are the same in every run of CI: a red build is then a change's doing. No deadlines: a
# busy machine is not a failure.
settings.register_profile(
    "esper",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("esper")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Seed every global generator, so that a test's outcome does not depend on its order."""
    random.seed(0)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(0)
