"""TrustPolicy: whose kernels may be loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from esper.contracts.errors import ConfigError, UntrustedKernelError
from esper.contracts.library import Signature
from esper.execution.signatures import is_genuine, key_id_of, read_public_key


@dataclass(frozen=True, kw_only=True)
class TrustPolicy:
    """The keys that are trusted, and whether a kernel must be signed by one of them.

    A genuine signature by one trusted key settles it: signatures that others put beside it neither
    help nor harm. Without one, a false signature in a trusted key's name is refused always, and a
    kernel without any is refused if `required`.
    """

    keys: Mapping[str, Ed25519PublicKey]
    """Trusted public keys by their key id."""
    required: bool = True
    """Whether a kernel that none of them signed is refused."""

    def __post_init__(self) -> None:
        """Refuse a policy that nothing can meet, and keys under a wrong name."""
        if self.required and not self.keys:
            raise ConfigError(
                "the policy asks for signatures but trusts no key, so nothing could be loaded; "
                "name public keys that it trusts"
            )
        for name, key in self.keys.items():
            if key_id_of(key) != name:
                raise ConfigError(
                    f"the key under {name!r} has the id {key_id_of(key)!r}; file it under that"
                )

    @classmethod
    def of(cls, keys: Iterable[Ed25519PublicKey], *, required: bool = True) -> Self:
        """Return the policy that trusts these keys."""
        return cls(keys={key_id_of(key): key for key in keys}, required=required)

    @classmethod
    def from_files(cls, paths: Iterable[Path], *, required: bool = True) -> Self:
        """Return the policy that trusts the public keys in these PEM files.

        Raises:
            ConfigError: A file holds no Ed25519 public key, or there is none and it is `required`.
        """
        return cls.of(map(read_public_key, paths), required=required)

    def check(self, kernel_id: str, signatures: Sequence[Signature]) -> None:
        """Pass, or refuse the kernel.

        Args:
            kernel_id: Id of the kernel, computed from its bytes.
            signatures: Whatever claims to be a signature over it.

        Raises:
            UntrustedKernelError: The policy refuses it.
        """
        ours = [signature for signature in signatures if signature.key_id in self.keys]
        if any(is_genuine(kernel_id, one, self.keys[one.key_id]) for one in ours):
            return
        if ours:
            raise UntrustedKernelError(
                f"kernel {kernel_id} carries a false signature in the name of the trusted key "
                f"{ours[0].key_id}; nothing of it was loaded. Find out who stored it"
            )
        if self.required:
            by = ", ".join(sorted({one.key_id for one in signatures})) or "nobody"
            raise UntrustedKernelError(
                f"kernel {kernel_id} is signed by {by:.200}, and the policy takes kernels only "
                f"from {', '.join(sorted(self.keys)):.200}; nothing of it was loaded. Sign it "
                "with one of these keys, or trust the key that signed it"
            )

    def __reduce__(self) -> tuple[object, ...]:
        # The keys are handles of a C library, which do not pickle; a policy must not get lost.
        raw = [key.public_bytes_raw() for key in self.keys.values()]
        return (_policy, (raw, self.required))


def _policy(raw: Sequence[bytes], required: bool) -> TrustPolicy:
    keys = map(Ed25519PublicKey.from_public_bytes, raw)
    return TrustPolicy.of(keys, required=required)
