from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.errors import ConfigError
from esper.services.urza.client.client_config import ClientConfig

SECRET = "esper_t1_secretsecretsecret"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "urza",
        "ftp://urza",
        "http://",
        "http://urza:notaport",
        "http://user:pass@urza",
        "http://urza/?a=b",
        "http://urza/#top",
    ],
)
def test_what_is_no_address_of_a_library_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        ClientConfig(url=url)


def test_a_password_in_the_address_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as refused:
        ClientConfig(url="http://user:hunter2@urza")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_a_token_may_go_in_the_clear_to_this_machine(url: str) -> None:
    assert ClientConfig(url=url, token=SECRET).is_loopback


def test_a_token_does_not_go_in_the_clear_to_another_machine() -> None:
    with pytest.raises(ConfigError, match="unencrypted"):
        ClientConfig(url="http://urza.example.org", token=SECRET)
    assert ClientConfig(url="https://urza.example.org", token=SECRET)
    assert ClientConfig(url="http://urza.example.org", token=SECRET, allow_plain_http=True)
    assert ClientConfig(url="http://urza.example.org")


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ünï"])
def test_a_token_with_other_characters_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ClientConfig(url="http://127.0.0.1:1", token=token)
    assert token == "" or token not in str(refused.value)


def test_the_token_is_not_in_the_text_of_the_configuration() -> None:
    assert SECRET not in repr(ClientConfig(url="http://127.0.0.1:1", token=SECRET))


def test_the_environment_names_library_and_token() -> None:
    environ = {"ESPER_URZA_URL": "https://urza.example.org/", "ESPER_URZA_TOKEN": SECRET}
    config = ClientConfig.from_environment(environ)
    assert config == ClientConfig(url="https://urza.example.org", token=SECRET)
    assert ClientConfig.from_environment(environ, url="http://[::1]:8").url == "http://[::1]:8"


def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    environ = {"ESPER_URZA_URL": "http://127.0.0.1:1", "ESPER_URZA_TOKEN_FILE": str(file)}
    assert ClientConfig.from_environment(environ).token == SECRET


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "ESPER_URZA_URL"),
        ({"ESPER_URZA_URL": "http://u", "ESPER_URZA_TOKEN_FILE": "no/such/file"}, "no/such/file"),
        (
            {"ESPER_URZA_URL": "http://u", "ESPER_URZA_TOKEN_FILE": "f", "ESPER_URZA_TOKEN": "t"},
            "keep one",
        ),
    ],
)
def test_what_is_missing_or_said_twice_is_named(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ClientConfig.from_environment(environ)


def test_settings_out_of_range_are_refused() -> None:
    for settings in ({"timeout_seconds": 0.0}, {"retries": -1}):
        with pytest.raises(ConfigError):
            ClientConfig(url="http://u", **settings)  # type: ignore[arg-type]  # floats and ints
