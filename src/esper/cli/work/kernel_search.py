"""Finds kernels in a library."""

from __future__ import annotations

from pydantic import ValidationError

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import KernelSearchRequest
from esper.cli.shapes import parse_shape
from esper.cli.work.blueprints import read_mode
from esper.cli.work.library_text import print_json, print_kernel, read_choice, read_tags
from esper.contracts.enums import KernelStatus
from esper.contracts.errors import ConfigError
from esper.contracts.library import KernelQuery, KernelRecord

SORTS = ("gain", "newest", "latency", "parameters")


def run(request: KernelSearchRequest) -> int:
    """Carry out `esper kernel search`.

    Raises:
        ConfigError: an option is not what it should be.
        LibraryError: the library refused.
    """
    if request.sort not in SORTS:
        raise ConfigError(f"--sort {request.sort!r} is none of {', '.join(SORTS)}")
    query = _query(request)
    found: list[KernelRecord] = []
    cursor = None
    with bootstrap.library(request.urza) as library:
        while len(found) < request.limit:
            limit = min(100, request.limit - len(found))
            page = library.kernels(query, sort=request.sort, cursor=cursor, limit=limit)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
    console = output()
    if request.as_json:
        print_json(console, found)
    for record in found if not request.as_json else ():
        print_kernel(console, record)
    return ExitCode.OK


def _query(request: KernelSearchRequest) -> KernelQuery:
    status = None
    if request.status is not None:
        status = read_choice(KernelStatus, request.status, "--status")
    try:
        return KernelQuery(
            host=request.host,
            mode=None if request.mode is None else read_mode(request.mode),
            input_shape=_shape(request.input_shape, "--input"),
            output_shape=_shape(request.output_shape, "--output-shape"),
            status=status,
            blueprint=request.blueprint,
            max_parameters=request.max_parameters,
            max_latency_us=request.max_latency_us,
            max_bytes=request.max_bytes,
            tags=read_tags(request.tags),
        )
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"the search cannot be made: {where}: {first['msg']}") from None


def _shape(text: str | None, option: str) -> str | None:
    """A shape as the library spells it: `3,32,32`, `*` for an axis of any size."""
    if text is None:
        return None
    return ",".join("*" if size is None else str(size) for size in parse_shape(text, option))
