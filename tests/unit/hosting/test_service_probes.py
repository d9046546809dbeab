from __future__ import annotations

from esper.hosting.service import http_question, redis_question
from esper.web.probe_server import ProbeServer
from support.servers.server import free_port


def test_a_server_that_answers_with_200_says_yes_and_any_other_no() -> None:
    ready = [True]
    with ProbeServer(0, is_ready=lambda: ready[0], metrics=str) as server:
        ask = http_question(server.url, "/readyz")
        assert ask()
        ready[0] = False
        assert not ask()
        assert http_question(server.url, "/livez")()
        assert not http_question(server.url, "/nothing")()


def test_nobody_there_is_no() -> None:
    assert not http_question(f"http://127.0.0.1:{free_port()}", "/livez")()
    assert not redis_question(f"redis://127.0.0.1:{free_port()}/0")()


def test_another_protocol_is_no() -> None:
    with ProbeServer(0, is_ready=lambda: True, metrics=str) as server:
        assert not redis_question(server.url.replace("http", "redis"))()


def test_a_server_with_user_name_and_password_is_asked_with_both(valkey_place: str) -> None:
    assert redis_question(valkey_place)()
    place = valkey_place.removeprefix("redis://")
    assert not redis_question(f"redis://nobody:wrong@{place}")()
