from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.errors import ConfigError
from esper.execution import signatures
from esper.execution.signatures import is_genuine, key_id_of, sign

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
KERNEL = hashlib.sha256(b"kernel").hexdigest()


def test_a_signature_is_genuine_for_its_kernel_and_key_only() -> None:
    signature = sign(KERNEL, KEY)
    assert is_genuine(KERNEL, signature, KEY.public_key())
    assert not is_genuine(hashlib.sha256(b"another").hexdigest(), signature, KEY.public_key())
    assert not is_genuine(KERNEL, signature, OTHER.public_key())


def test_a_signature_under_another_keys_name_is_not_genuine() -> None:
    named = sign(KERNEL, KEY).model_copy(update={"key_id": key_id_of(OTHER.public_key())})
    assert not is_genuine(KERNEL, named, KEY.public_key())


@given(st.integers(0, 511))
def test_a_signature_with_one_bit_changed_is_false(bit: int) -> None:
    signature = sign(KERNEL, KEY)
    value = bytearray.fromhex(signature.value)
    value[bit // 8] ^= 1 << bit % 8
    assert not is_genuine(
        KERNEL, signature.model_copy(update={"value": value.hex()}), KEY.public_key()
    )


def test_a_signature_is_over_the_raw_bytes_of_the_id() -> None:
    value = bytes.fromhex(sign(KERNEL, KEY).value)
    KEY.public_key().verify(value, hashlib.sha256(b"kernel").digest())


def test_a_key_is_named_by_the_digest_of_its_public_bytes() -> None:
    raw = KEY.public_key().public_bytes_raw()
    assert sign(KERNEL, KEY).key_id == hashlib.sha256(raw).hexdigest()[:16]


@pytest.mark.parametrize("text", ["", "abc", KERNEL.upper(), KERNEL + "0", "../" + KERNEL[3:]])
def test_only_ids_are_signed(text: str) -> None:
    with pytest.raises(ConfigError, match="no kernel id"):
        sign(text, KEY)


def test_a_new_key_is_readable_by_its_owner_only_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    key = signatures.new_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = signatures.read_private_key(path)
    assert again.private_bytes_raw() == key.private_bytes_raw()
    with pytest.raises(ConfigError, match="name a new file"):
        signatures.new_key(path)
    assert signatures.read_private_key(path).private_bytes_raw() == key.private_bytes_raw()


def test_a_public_key_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem.pub"
    signatures.write_public_key(path, KEY.public_key())
    assert signatures.read_public_key(path) == KEY.public_key()


def test_what_is_no_ed25519_key_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"not a key")
    for read in (signatures.read_private_key, signatures.read_public_key):
        with pytest.raises(ConfigError, match=r"key\.pem"):
            read(path)
        with pytest.raises(ConfigError, match="cannot be read"):
            read(tmp_path / "nowhere.pem")
    curve = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(ConfigError, match="no Ed25519 public key"):
        signatures.read_public_key(path)
    path.write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match="no Ed25519 private key"):
        signatures.read_private_key(path)
