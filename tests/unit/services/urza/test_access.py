"""The access table: who may call what, and that nothing stands beside it."""

from __future__ import annotations

import pytest

from esper.contracts.enums import Role
from esper.contracts.errors import ConfigError
from esper.services.urza.access import ACCESS, Principal, allows, check_exposure, check_listed
from esper.web.host_names import is_loopback


def test_an_admin_may_call_every_route() -> None:
    admin = Principal("admin", frozenset({Role.ADMIN}))
    assert all(allows(access, admin) for access in ACCESS.values())


def test_nobody_without_a_role_may_call_more_than_the_open_routes() -> None:
    nobody = Principal("nobody", frozenset())
    assert {name for name, access in ACCESS.items() if allows(access, nobody)} == {
        "livez",
        "readyz",
    }


def test_a_reader_changes_nothing() -> None:
    reader = Principal("reader", frozenset({Role.READER}))
    allowed = {name for name, access in ACCESS.items() if allows(access, reader)}
    assert {name.split("_")[0] for name in allowed} == {
        "get",
        "head",
        "list",
        "livez",
        "metrics",
        "openapi",
        "readyz",
        "search",
    }


def test_roles_add_up() -> None:
    both = Principal("both", frozenset({Role.TRAINER, Role.COMPILER}))
    assert allows(ACCESS["submit_blueprint"], both)
    assert allows(ACCESS["grant_lease"], both)
    assert not allows(ACCESS["put_alias"], both)


def test_an_unlisted_route_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"without a row in the access table: planted\."):
        check_listed([*ACCESS, "planted"])


def test_a_row_without_a_route_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="without a route: livez"):
        check_listed([name for name in ACCESS if name != "livez"])


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice: livez"):
        check_listed([*ACCESS, "livez"])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "urza.example.org", ""])
def test_without_authentication_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(ConfigError, match="Set auth to 'token'"):
        check_exposure(host, "none")
    check_exposure(host, "token")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost"])
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)
    check_exposure(host, "none")
