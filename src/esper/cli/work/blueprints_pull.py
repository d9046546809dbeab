"""Gets a blueprint from a library."""

from __future__ import annotations

import json

from esper import bootstrap
from esper.blueprints.ir import GraphIR
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import BlueprintsPullRequest
from esper.core.durable_file import write_durably


def run(request: BlueprintsPullRequest) -> int:
    """Carry out `esper blueprints pull`.

    Raises:
        LibraryError: the library refused.
        BlueprintError: what it holds is no valid graph.
        CheckpointError: the file cannot be written.
    """
    with bootstrap.library(request.urza) as library:
        record = library.blueprint(request.blueprint_id)
    # Whoever builds from it will check it; a file that cannot be built from is not written.
    graph = GraphIR.from_json(json.dumps(record.blueprint.architecture))
    document = record.model_dump(mode="json") if request.as_json else graph.to_dict()
    if request.output is None:
        output().print_json(json.dumps(document))
    else:
        write_durably(request.output, (json.dumps(document, indent=2) + "\n").encode())
    return ExitCode.OK
