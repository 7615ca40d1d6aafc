"""What a round of active learning costs beside dynamics, labels and training steps.

CPU time of one process, which samples, trains and judges; labels are computed by others.

    python benchmarks/learning_overhead.py learn/hexane loop members.count=2 rounds=2 converge=null
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from options import Parser

import gnnpot.labeling.run
import gnnpot.sampling.run
import gnnpot.training.run
from gnnpot.config.base import shipped_config
from gnnpot.learning.config import LearnConfig
from gnnpot.learning.run import learn
from gnnpot.learning.story import Facts, Round

WORK = ((gnnpot.training.run, "fit"), (gnnpot.sampling.run, "_write"), (gnnpot.labeling.run, "fill"))


class Clock:
    """CPU seconds of each round, and of the work in it."""

    def __init__(self) -> None:
        self.rounds: dict[int, float] = {}
        self.work: dict[int, float] = {}
        self._inside = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time counts as work."""

        @wraps(function)
        def timed(*arguments: Any, **settings: Any) -> Any:
            begun = time.process_time()
            try:
                return function(*arguments, **settings)
            finally:
                self._inside += time.process_time() - begun

        return timed

    def once(self, once: Callable[..., Facts]) -> Callable[..., Facts]:
        """The phase of a round, whose time counts for the round."""

        @wraps(once)
        def timed(current: Round, phase: str, work: Callable[[], Facts]) -> Facts:
            begun, self._inside = time.process_time(), 0.0
            facts = once(current, phase, work)
            number = current.number
            self.rounds[number] = self.rounds.get(number, 0.0) + time.process_time() - begun
            self.work[number] = self.work.get(number, 0.0) + self._inside
            return facts

        return timed


def main() -> None:
    """Run the loop in one process, and print a line for each round."""
    parser = Parser(__doc__)
    parser.add_argument("template", help="name of a ready configuration")
    parser.add_argument("output", type=Path, help="new folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    asked = parser.parse_args()
    clock = Clock()
    for module, name in WORK:
        setattr(module, name, clock.timed(getattr(module, name)))
    Round.once = clock.once(Round.once)  # type: ignore[method-assign]
    learn(LearnConfig.from_yaml(shipped_config(asked.template), asked.overrides), asked.output)
    for number, whole in clock.rounds.items():
        rest = whole - clock.work[number]
        print(f"round {number}: {whole:.1f} s, {rest:.1f} s ({rest / whole:.1%}) beside the work")


if __name__ == "__main__":
    main()
