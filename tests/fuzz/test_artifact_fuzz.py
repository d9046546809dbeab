"""Spoilt kernel files are refused or loaded correctly: no code run, no crash, bounded cost.

The smoke of the usual test run mutates 1,500 files. `make fuzz` sets ESPER_FUZZ_FILES=50000.
A failure prints the number of the file, which with the seed makes it again.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import time
from collections import Counter
from random import Random
from typing import Any

import pytest
import torch

from esper.blueprints.ir import GraphIR, Node
from esper.blueprints.tensor_spec import TensorSpec
from esper.contracts.errors import ArtifactError
from esper.execution.artifact import KernelArtifact, unpack
from fuzz.mutations import MUTATIONS
from kernels import conv_graph, kernel_file, mlp_graph, split

FILES = int(os.environ.get("ESPER_FUZZ_FILES", "1500"))
SEED = int(os.environ.get("ESPER_FUZZ_SEED", "0"))
MOST_SECONDS = 2.0
"""Of the processor, for one file; a valid one takes a few milliseconds."""
MOST_GROWTH = 256 * 2**20
"""Of the process's peak memory over the whole campaign, in bytes."""

FORBIDDEN = ("exec", "compile", "import", "os.", "subprocess.", "pickle.", "open", "socket.")
"""Audit events that reading a kernel has no business to cause."""


class Watch:
    """Records audit events that start with a forbidden word, while it is `on`."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {arguments!r:.200}")


def sequence_graph() -> GraphIR:
    """Integers in, an embedding, a GRU and a norm over a sequence of any length."""
    return GraphIR(
        {"x": TensorSpec((None,), "int64")},
        (
            Node("table", "embedding", ("x",), {"num_embeddings": 5, "embedding_dim": 4}),
            Node("cell", "gru", ("table",), {"hidden_size": 3}),
            Node("norm", "layer_norm", ("cell",)),
        ),
        {"y": "norm"},
    )


def say(line: str) -> None:
    """Shown by `pytest -s`, and with a failure."""
    sys.stdout.write(f"{line}\n")


def corpus() -> list[bytes]:
    files = [
        kernel_file(graph, dtype=dtype)
        for graph in (mlp_graph(), conv_graph(), sequence_graph())
        for dtype in (torch.float32, torch.bfloat16)
    ]
    return [*files, kernel_file(mlp_graph(), dtype=torch.float16)]


def check_loaded(artifact: KernelArtifact, data: bytes) -> None:
    """What was accepted is exactly what the bytes say, and it builds."""
    assert artifact.kernel_id == hashlib.sha256(data).hexdigest()
    header, body = split(data)
    for name, tensor in artifact.weights.items():
        begin, end = header[name]["data_offsets"]
        assert tensor.reshape(-1).view(torch.uint8).numpy().tobytes() == body[begin:end]
    built = artifact.build().state_dict()
    for name, tensor in artifact.weights.items():
        assert torch.equal(built[name], tensor)


@pytest.mark.timeout(1200)
def test_spoilt_files_are_refused_or_loaded_correctly() -> None:
    files, watch, outcomes = corpus(), Watch(), Counter[str]()
    for data in files:
        check_loaded(unpack(data), data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for number in range(FILES):
        random = Random(f"{SEED} {number}")
        mutate = random.choice(MUTATIONS)
        data = mutate(random.choice(files), random, files)
        artifact = None
        watch.on, started = True, time.thread_time()
        try:
            artifact = unpack(data)
        except ArtifactError:
            outcomes["refused"] += 1
        except BaseException:
            say(f"file {number} of seed {SEED}, by {mutate.__name__}")
            raise
        finally:
            watch.on = False
        slowest = max(slowest, time.thread_time() - started)
        assert slowest < MOST_SECONDS, (number, mutate.__name__)
        assert not watch.seen, (number, mutate.__name__, watch.seen)
        if artifact is not None:
            outcomes["unchanged" if data in files else "loaded"] += 1
            check_loaded(artifact, data)
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    say(
        f"{FILES} files: {dict(outcomes)}, slowest {slowest:.3f} s of the processor, grown {growth >> 20} MiB"
    )
    assert growth < MOST_GROWTH
    assert outcomes["refused"] > FILES // 2
    assert outcomes["loaded"] > 0
