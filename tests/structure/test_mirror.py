"""A reader finds a file's tests under the file's own name."""

from __future__ import annotations

from pathlib import Path

import pytest

from structure import source

UNIT = source.ROOT / "tests" / "unit"
TESTS = sorted(UNIT.rglob("test_*.py"))

# What a test may be about besides one file of the package.
BESIDES_A_FILE = {"test_facade.py"}


# What a shared suite proves, through the parts that users and other parts call: where its tests are,
# the folder, the files.
TESTED_TOGETHER = (
    ("tests/contract/test_flops.py", "blueprints", "flops"),
    ("tests/unit/blueprints/test_geometry.py", "blueprints", "geometry_tracing provenance"),
    ("tests/unit/blueprints/test_ir.py", "blueprints", "tensor_spec"),
    (
        "tests/unit/blueprints/library/test_catalog.py",
        "blueprints/library",
        "attend attention causal_conv conv1d conv2d conv_same embedding family fitting fourier glu host_copy low_rank mixture mlp norm recurrent residual_conv separable squeeze_excite stack wavelet",
    ),
    (
        "tests/unit/blueprints/ops/test_vocabulary.py",
        "blueprints/ops",
        "attention attribute convolution dense elementwise normalization op pooling recurrent shape",
    ),
    ("tests/e2e", "cli", "control layers nissa runs tezzeret urza"),
    ("tests/contract/urza", "contracts", "library"),
    ("tests/docs/test_asyncapi.py", "contracts", "platform_events"),
    ("tests/contract", "contracts", "ports"),
    ("tests/contract/nissa", "contracts", "runs"),
    ("tests/docs", "contracts", "version"),
    ("tests/unit/core/test_checkpoint.py", "core", "manifest"),
    ("tests/unit/core/test_export.py", "core", "composition"),
    (
        "tests/unit/services/tolaria/test_trainer.py",
        "services/tolaria",
        "outcome result",
    ),
    ("tests/unit/core/test_optimizer.py", "core", "transaction"),
    ("tests/e2e/test_dashboard.py", "dashboard", "pages"),
    (
        "tests/unit/data/test_catalog.py",
        "data",
        "mnist1d quick_start scikit source",
    ),
    ("tests/unit/data/test_catalog.py", "data/models", "cnn mlp transformer"),
    ("tests/unit/execution/test_artifact.py", "execution", "artifact_header"),
    (
        "tests/unit/execution/hosts/test_host_catalog.py",
        "execution/hosts",
        "conv embedding linear norm",
    ),
    (
        "tests/contract/nissa",
        "services/nissa",
        "curve_reader export_parquet followed_runs nissa_state platform_rows run_store run_tables summaries",
    ),
    ("tests/contract/nissa/test_run_store_migrations.py", "services/nissa/migrations", "env"),
    (
        "tests/contract/nissa/test_run_store_migrations.py",
        "services/nissa/migrations/versions",
        "v0001_tables v0002_acknowledgements",
    ),
    (
        "tests/contract/oona",
        "services/oona",
        "redis_client redis_reader redis_scripts redis_upkeep",
    ),
    ("tests/unit/services/tolaria/test_trainer.py", "services/tolaria", "session"),
    (
        "tests/contract/urza",
        "services/urza",
        "aliases audit blobs blueprints change field_outcomes garbage kernel_library kernel_rows kernels leases library_tables tokens",
    ),
    ("tests/integration/urza/test_client.py", "services/urza/client", "calls"),
    ("tests/contract/urza/test_migrations.py", "services/urza/migrations", "env"),
    (
        "tests/contract/urza/test_migrations.py",
        "services/urza/migrations/versions",
        "v0001_tables v0002_audit_only_grows",
    ),
    ("tests/contract/storage", "storage", "migrate schema"),
)
# Parts of growth that are about to be rebuilt: the new ones come with tests of their own.
REBUILT_NEXT = {
    "execution": "execution_stats host_branch kernel_check kernel_select kernel_tally nesting probing",
    "orchestration": "blueprint_registry commanding entrant grafting journal nursery observation run",
}


def _mirrors(test: Path) -> bool:
    folder = source.PACKAGE / test.parent.relative_to(UNIT)
    subject = test.stem.removeprefix("test_")
    stems = {path.stem for path in folder.glob("*.py")} | {
        path.name for path in folder.glob("*/") if (path / "__init__.py").exists()
    }
    # A long test file may be split: test_optimizer_scheduler.py is about optimizer.py too.
    return any(subject == stem or subject.startswith(f"{stem}_") for stem in stems)


@pytest.mark.parametrize("test", TESTS, ids=source.shown)
def test_a_unit_test_is_named_after_a_file_of_the_package(test: Path) -> None:
    assert test.name in BESIDES_A_FILE or _mirrors(test), (
        f"{source.shown(test)}: no such file in src/esper/{test.parent.relative_to(UNIT)}"
    )


def _has_tests(file: Path) -> bool:
    if file.name in {"__init__.py", "__main__.py"}:
        return True
    found = {test.stem for test in (UNIT / file.parent.relative_to(source.PACKAGE)).glob("*.py")}
    own = f"test_{file.stem}"
    return any(stem == own or stem.startswith(f"{own}_") for stem in found)


def _excused() -> list[Path]:
    named = [*((folder, names) for _, folder, names in TESTED_TOGETHER)]
    named += REBUILT_NEXT.items()
    return [
        source.PACKAGE / folder / f"{name}.py" for folder, names in named for name in names.split()
    ]


def test_a_file_of_the_package_has_unit_tests_under_its_name() -> None:
    excused = set(_excused())
    without = [f for f in source.modules() if f not in excused and not _has_tests(f)]
    assert not without, "no tests/unit/.../test_NAME.py for: " + ", ".join(
        source.shown(file) for file in without
    )


def test_no_file_is_excused_that_has_tests_or_is_gone_or_is_named_twice() -> None:
    excused = _excused()
    needless = [f for f in excused if not f.exists() or _has_tests(f) or excused.count(f) > 1]
    assert not needless, "take them off the lists: " + ", ".join(map(source.shown, needless))


@pytest.mark.parametrize("suite", sorted({suite for suite, _, _ in TESTED_TOGETHER}))
def test_a_shared_suite_that_excuses_files_is_there(suite: str) -> None:
    place = source.ROOT / suite
    assert place.is_file() or any(place.rglob("test_*.py"))


def test_the_unit_tests_were_found() -> None:
    assert len(TESTS) > 20
