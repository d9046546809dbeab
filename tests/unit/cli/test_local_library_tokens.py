from __future__ import annotations

import stat
from pathlib import Path

import pytest

from esper.cli.local_library import issue_tokens, with_library
from esper.contracts.enums import Role
from esper.contracts.library import TokenRecord
from esper.hosting.platform_plan import forge_token, trainer_token
from esper.services.urza.kernel_library import Library


def known(folder: Path) -> list[TokenRecord]:
    async def listed(library: Library) -> list[TokenRecord]:
        return list((await library.tokens.list()).items)

    return with_library(folder / "urza", listed)


def test_forge_and_trainers_get_tokens_of_their_own_once(tmp_path: Path) -> None:
    issue_tokens(tmp_path)
    before = [place.read_text() for place in (forge_token(tmp_path), trainer_token(tmp_path))]
    assert stat.S_IMODE(forge_token(tmp_path).stat().st_mode) == 0o600
    issue_tokens(tmp_path)
    assert before == [forge_token(tmp_path).read_text(), trainer_token(tmp_path).read_text()]
    roles = {token.name: set(token.roles) for token in known(tmp_path)}
    assert roles == {"forge": {Role.COMPILER, Role.TRAINER}, "trainer": {Role.TRAINER}}


@pytest.mark.parametrize("lost", ["file", "taken back"])
def test_one_that_is_lost_or_was_taken_back_is_made_again(tmp_path: Path, lost: str) -> None:
    issue_tokens(tmp_path)
    before = forge_token(tmp_path).read_text()
    if lost == "file":
        forge_token(tmp_path).unlink()
    else:
        (token,) = [token for token in known(tmp_path) if token.name == "forge"]
        with_library(tmp_path / "urza", lambda lib: lib.tokens.revoke("test", token.token_id))
    issue_tokens(tmp_path)
    assert forge_token(tmp_path).read_text() != before
    assert len(known(tmp_path)) == 3
