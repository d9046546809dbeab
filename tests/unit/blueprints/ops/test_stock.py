"""What the vocabulary says of torch without importing it is what the installed torch says."""

from __future__ import annotations

import subprocess
import sys

from esper.blueprints.initial import FILLS
from esper.blueprints.ir import NAME
from esper.blueprints.ops.stock import INITIAL, TAKEN


def test_no_node_may_have_a_name_that_a_graph_module_needs() -> None:
    # In an interpreter of its own: libraries add names to torch's modules as they load.
    program = "from torch import fx; print(*dir(fx.GraphModule))"
    names = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert {name for name in names.stdout.decode().split() if NAME.fullmatch(name)} <= TAKEN
    assert {"training", "graph"} <= TAKEN


def test_every_rule_for_first_weights_has_its_name() -> None:
    assert ("default", *FILLS) == INITIAL
