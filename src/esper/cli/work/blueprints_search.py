"""Lists the blueprints of a library."""

from __future__ import annotations

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import BlueprintsSearchRequest
from esper.cli.work.library_text import print_blueprint, print_json, read_choice
from esper.contracts.enums import BlueprintState
from esper.contracts.library import BlueprintRecord


def run(request: BlueprintsSearchRequest) -> int:
    """Carry out `esper blueprints search`.

    Raises:
        ConfigError: there is no such state.
        LibraryError: the library refused.
    """
    state = None
    if request.state is not None:
        state = read_choice(BlueprintState, request.state, "--state")
    found: list[BlueprintRecord] = []
    cursor = None
    with bootstrap.library(request.urza) as library:
        while len(found) < request.limit:
            page = library.blueprints(
                host=request.host,
                state=state,
                family=request.family,
                cursor=cursor,
                limit=min(100, request.limit - len(found)),
            )
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
    console = output()
    if request.as_json:
        print_json(console, found)
    for record in found if not request.as_json else ():
        print_blueprint(console, record)
    return ExitCode.OK
