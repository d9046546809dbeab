from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from esper.contracts.errors import ArtifactError, ConfigError, UntrustedKernelError
from esper.contracts.library import Signature
from esper.execution.signatures import key_id_of, sign, write_public_key
from esper.execution.trust import TrustPolicy

OURS = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
THEIRS = Ed25519PrivateKey.from_private_bytes(b"2" * 32)
KERNEL = hashlib.sha256(b"kernel").hexdigest()
GOOD = sign(KERNEL, OURS)
FOREIGN = sign(KERNEL, THEIRS)
FALSE = Signature(key_id=GOOD.key_id, value=FOREIGN.value)
ELSEWHERE = sign(hashlib.sha256(b"another kernel").hexdigest(), OURS)

STRICT = TrustPolicy.of([OURS.public_key()])
LENIENT = TrustPolicy.of([OURS.public_key()], required=False)


@pytest.mark.parametrize("policy", [STRICT, LENIENT])
@pytest.mark.parametrize("beside", [(), (FOREIGN,), (FALSE,), (ELSEWHERE,)])
def test_one_genuine_signature_of_a_trusted_key_settles_it(
    policy: TrustPolicy, beside: tuple[Signature, ...]
) -> None:
    policy.check(KERNEL, (*beside, GOOD))


@pytest.mark.parametrize("signatures", [(), (FOREIGN,)])
def test_a_kernel_that_nobody_trusted_signed_is_refused_if_signatures_are_required(
    signatures: tuple[Signature, ...],
) -> None:
    with pytest.raises(UntrustedKernelError, match=KERNEL) as refused:
        STRICT.check(KERNEL, signatures)
    assert isinstance(refused.value, ArtifactError)
    assert GOOD.key_id in str(refused.value)
    LENIENT.check(KERNEL, signatures)


@pytest.mark.parametrize("policy", [STRICT, LENIENT])
@pytest.mark.parametrize("signature", [FALSE, ELSEWHERE])
def test_a_false_signature_in_a_trusted_name_is_refused_in_any_case(
    policy: TrustPolicy, signature: Signature
) -> None:
    with pytest.raises(UntrustedKernelError, match="false signature"):
        policy.check(KERNEL, (signature, FOREIGN))


def test_a_policy_that_nothing_can_meet_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="trusts no key"):
        TrustPolicy(keys={})
    TrustPolicy(keys={}, required=False).check(KERNEL, ())


def test_a_key_under_a_wrong_name_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=key_id_of(OURS.public_key())):
        TrustPolicy(keys={"somebody": OURS.public_key()})


def test_keys_come_from_files(tmp_path: Path) -> None:
    path = tmp_path / "ours.pub"
    write_public_key(path, OURS.public_key())
    TrustPolicy.from_files([path]).check(KERNEL, [GOOD])
    with pytest.raises(UntrustedKernelError):
        TrustPolicy.from_files([path]).check(KERNEL, [])


def test_a_policy_survives_a_pickle() -> None:
    again = pickle.loads(pickle.dumps(STRICT))
    assert again.required
    again.check(KERNEL, [GOOD])
    with pytest.raises(UntrustedKernelError):
        again.check(KERNEL, [FOREIGN])
