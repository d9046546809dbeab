"""Signatures over kernels: Ed25519 over the 32 raw bytes of a kernel's id.

The id is the SHA-256 of the file, so that a signature over it speaks for every byte. Keys are PEM
files (PKCS#8 for private keys, SubjectPublicKeyInfo for public ones), as `openssl genpkey
-algorithm ed25519` writes them too. A key is named by the first 16 hexadecimal digits of the
SHA-256 of its 32 raw public bytes.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from esper.contracts.errors import ConfigError
from esper.contracts.library import Signature
from esper.execution.artifact_check import is_kernel_id

KEY_ID_DIGITS: Final = 16


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return the name of a public key."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:KEY_ID_DIGITS]


def sign(kernel_id: str, key: Ed25519PrivateKey) -> Signature:
    """Return the key's signature over a kernel's id; the same each time.

    Raises:
        ConfigError: `kernel_id` is no id.
    """
    value = key.sign(_signed_bytes(kernel_id))
    return Signature(key_id=key_id_of(key.public_key()), value=value.hex())


def is_genuine(kernel_id: str, signature: Signature, key: Ed25519PublicKey) -> bool:
    """Return whether `key` made this signature over this id.

    Raises:
        ConfigError: `kernel_id` is no id.
    """
    try:
        key.verify(bytes.fromhex(signature.value), _signed_bytes(kernel_id))
    except InvalidSignature:
        return False
    return signature.key_id == key_id_of(key)


def new_key(path: Path) -> Ed25519PrivateKey:
    """Make a private key and write it to `path`, readable by its owner only.

    Raises:
        ConfigError: There is a file already, or it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        # Created with its mode, not changed to it: at no moment may others read it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(
            f"no key can be written to '{path}': {error.strerror}; name a new file"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return key


def write_public_key(path: Path, key: Ed25519PublicKey) -> None:
    """Write a public key to `path`, for those who are to trust it."""
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def read_private_key(path: Path, password: bytes | None = None) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        ConfigError: The file cannot be read, or holds no Ed25519 private key, or one that another
            password opens.
    """
    try:
        key = load_pem_private_key(_content(path), password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "private", str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private", f"it holds a {type(key).__name__}")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        ConfigError: The file cannot be read, or holds no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(_content(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "public", str(error)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "public", f"it holds a {type(key).__name__}")
    return key


def _signed_bytes(kernel_id: str) -> bytes:
    if not is_kernel_id(kernel_id):
        raise ConfigError(f"{kernel_id!r:.80} is no kernel id (64 of 0-9 a-f); only ids are signed")
    return bytes.fromhex(kernel_id)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the key file '{path}' cannot be read: {error.strerror}") from error


def _no_key(path: Path, kind: str, why: str) -> ConfigError:
    return ConfigError(
        f"'{path}' holds no Ed25519 {kind} key in PEM form ({why:.200}); make a pair with "
        "`openssl genpkey -algorithm ed25519`"
    )
