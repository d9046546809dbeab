from __future__ import annotations

import torch

from esper.data.prepare import standardise, standardise_images, stratified_split


def test_each_class_has_the_same_share_of_both_parts() -> None:
    labels = torch.tensor([0] * 100 + [1] * 50 + [2] * 10)
    kept, held = stratified_split(labels, 0.1, seed=3)
    assert labels[held].bincount().tolist() == [10, 5, 1]
    assert sorted(torch.cat([kept, held]).tolist()) == list(range(160))


def test_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    labels = torch.arange(1000) % 10
    first = stratified_split(labels, 0.1, seed=1)[1]
    assert torch.equal(first, stratified_split(labels, 0.1, seed=1)[1])
    assert not torch.equal(first, stratified_split(labels, 0.1, seed=2)[1])


def test_class_with_a_single_sample_stays_in_the_first_part() -> None:
    kept, held = stratified_split(torch.tensor([0, 0, 0, 1]), 0.5, seed=0)
    assert 3 in kept.tolist()
    assert len(held) == 2


def test_statistics_come_from_train_only() -> None:
    torch.manual_seed(0)
    train, test = torch.randn(500, 3) * 4 + 7, torch.randn(100, 3) - 50
    scaled, scaled_test = standardise(train, test)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(0, unbiased=False), torch.ones(3))
    torch.testing.assert_close(
        scaled_test, (test - train.mean(0)) / train.std(0, unbiased=False), atol=1e-4, rtol=1e-4
    )


def test_constant_feature_becomes_zero() -> None:
    scaled, _ = standardise(torch.full((5, 1), 3.0), torch.full((2, 1), 4.0))
    assert scaled.abs().max() == 0


def test_images_are_scaled_by_the_statistics_of_each_train_channel() -> None:
    generator = torch.Generator().manual_seed(0)
    train = torch.randint(0, 256, (50, 3, 8, 8), generator=generator, dtype=torch.uint8)
    train[:, 1] //= 4
    scaled, scaled_test = standardise_images(train, train[:5])
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    deviation = scaled.transpose(0, 1).flatten(1).std(1, unbiased=False)
    torch.testing.assert_close(deviation, torch.ones(3), atol=1e-4, rtol=0)
    assert torch.equal(scaled[:5], scaled_test)
