"""A budget that is too small is told, at the start and at the end."""

from __future__ import annotations

from gnnpot.training.budget import few_epochs, short_time, still_falling
from gnnpot.training.config import TrainingConfig


def history(*losses: float) -> list[dict[str, float]]:
    return [{"epoch": float(number), "validation_loss": loss} for number, loss in enumerate(losses, start=1)]


def test_a_time_for_few_epochs_is_told_after_the_first():
    config = TrainingConfig(max_time="3m", max_epochs=500)
    assert few_epochs(config) is None
    assert short_time(config, seconds_per_epoch=1.0) is None
    said = short_time(config, seconds_per_epoch=10.0)
    assert "max_time of 0:03:00 allows about 18 epochs" in said
    assert "allows 20 epochs" in few_epochs(TrainingConfig(max_epochs=20))


def test_errors_that_still_fall_at_the_end_are_told():
    config = TrainingConfig()
    falling = [1.0 / (number + 1) for number in range(20)]
    assert "still falling when the budget ended, by 10% in the last 2 of 20 epochs" in still_falling(
        config, history(*falling)
    )
    assert still_falling(config, history(*falling, *[falling[-1]] * 20)) is None
    assert still_falling(config, history(1.0)) is None
