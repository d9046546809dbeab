from __future__ import annotations

import stat
from pathlib import Path

import pytest

from esper.cli.local_library import issue_tokens, own_library
from esper.contracts.enums import Role
from esper.contracts.library import TokenRecord
from esper.hosting.platform_plan import forge_token, trainer_token


def known(folder: Path) -> list[TokenRecord]:
    with own_library(folder / "urza") as library:
        return list(library.tokens(cursor=None, limit=100).items)


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
        with own_library(tmp_path / "urza") as library:
            library.revoke_token(token.token_id)
    issue_tokens(tmp_path)
    assert forge_token(tmp_path).read_text() != before
    assert len(known(tmp_path)) == 3
