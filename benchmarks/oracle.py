"""What could weights of teachers do at best? FedEFM with weights that know the truth, all labels unseen.

    .venv/bin/python benchmarks/oracle.py --workers 2

The Earth Mover's Distance weighs what a teacher says. This experiment replaces it by weights that no hospital can have:
they are read from masks that hold all classes. What they do not bring, no distance brings.

- right: a teacher counts wherever it is right, in what it sees and in what it does not see.
- right_seen: a teacher counts where it sees one of its classes and is right.
- corrected: as with weights of 1, but where a teacher sees a class that is not there it says "none of mine" instead.

Results go to `benchmarks/results/oracle.json` as they come; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from benchmarks.fixed.data import Images
from benchmarks.fixed.definition import Case, load_definition
from benchmarks.fixed.run import run_case
from benchmarks.fixed.store import read_result
from benchmarks.fixed.tables import markdown, spread
from torch import Tensor

from fedefm.data.dataset import SiteData, load_site
from fedefm.data.frames import Batch, Frames
from fedefm.files import write_json
from fedefm.foundation import hospital
from fedefm.foundation import run as runner
from fedefm.foundation.distil import DistillationObjective, Teacher, presence
from fedefm.losses.corpus import fold_log_probabilities, fold_target
from fedefm.models.build import Weights

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results" / "oracle.json"
UNSEEN, SEEDS = 100, (0, 1, 2)
TRUTH = 100  # a mask that carries the truth holds label + TRUTH * true label
SILENT = -1e4

Judge = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From a teacher's class, the true one (both folded; 0 is none of its own) and its presence to pixel weights."""


def wrongly_seen(said: Tensor, true: Tensor) -> Tensor:
    """Where a teacher sees one of its classes that is not there."""
    return (said != 0) & (said != true)


JUDGES: Mapping[str, Judge] = {
    "right": lambda said, true, seen: (said == true).to(seen.dtype),
    "right_seen": lambda said, true, seen: seen * (said == true),
    "corrected": lambda said, true, seen: seen.masked_fill(wrongly_seen(said, true), 1.0),
}


class Oracle(DistillationObjective):
    """Distillation whose pixel weights come from the truth that the batch's masks carry."""

    mode = "right"

    def __call__(self, batch: Batch) -> Tensor:
        """Loss of one batch."""
        images, masks = batch
        self._truth, self._judged = masks // TRUTH, []
        return super().__call__((images, masks % TRUTH))

    def _ask(self, teacher: Teacher, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        answer, features = super()._ask(teacher, images, masks)
        said = fold_log_probabilities(answer, teacher.channels).argmax(1)
        true = fold_target(self._truth, teacher.channels, answer.shape[1])
        self._judged.append(JUDGES[self.mode](said, true, presence(answer, teacher.channels, 0.0)))
        if self.mode == "corrected":
            own = torch.isin(torch.arange(answer.shape[1]), torch.tensor(teacher.channels)).view(1, -1, 1, 1)
            answer = answer.masked_fill(wrongly_seen(said, true).unsqueeze(1) & own, SILENT)
        return answer, features

    def _regions(self, *unused: object) -> Tensor:
        return self._judged.pop(0)  # teachers are weighed in the order in which they were asked


@dataclass(frozen=True)
class _Told:
    """A hospital's frames, with masks that carry the truth."""

    frames: Frames
    true: Frames

    def batch(self, picked: Sequence[int]) -> Batch:
        images, masks = self.frames.batch(picked)
        return images, masks + TRUTH * self.true.batch(picked)[1]


class Knowing(hospital.Hospital):
    """A hospital that knows all classes of its frames, and uses that for the weights of its teachers alone."""

    truth: Mapping[str, Path]

    @cached_property
    def _known(self) -> SiteData:
        """The hospital's images, with masks that carry the truth."""
        true = load_site(self.truth[self.name], self._settings.classes, self._settings.size).train.frames
        return replace(self.data, train=replace(self.data.train, frames=_Told(self.data.train.frames, true)))

    def _distil(self, *work: Any) -> tuple[Weights, dict[str, Any]]:
        plain, self._data = self.data, self._known
        try:
            return super()._distil(*work)
        finally:
            self._data = plain


def oracle_dice(mode: str, seed: int, images: Images) -> float:
    """Test Dice of a run whose teachers are weighed by an oracle; in a process of its own."""
    torch.set_num_threads(1)
    definition, case = load_definition(FOLDER), Case("four", "uniform", UNSEEN, seed)
    Oracle.mode, Knowing.truth = mode, images.all_labels(definition, case)
    hospital.DistillationObjective = Oracle  # type: ignore[misc]
    runner.Hospital = Knowing  # type: ignore[misc]
    return run_case(definition, case, images)["dice"]["test"]


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """The results as Markdown, beside weights of 1 and the Earth Mover's Distance."""
    dice = json.loads((FOLDER / "results" / "summary.json").read_text())["dice"]
    rows = [[f"`{name}`", spread(dice[name][str(UNSEEN)])] for name in ("fedefm", "uniform")]
    rows += [[f"oracle, {mode}", spread(by)] for mode, by in found.items()]
    return markdown(["weights of teachers", "test Dice, all labels unseen"], rows)


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1, help="processes at work (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("runs/benchmark-data"), help="keeps the images")
    options = parser.parse_args()
    if options.workers < 1:
        parser.error("give at least one worker")
    found: dict[str, dict[str, float]] = read_result(RESULTS) if RESULTS.exists() else {}
    images, definition = Images(options.data), load_definition(FOLDER)
    images.draw(definition, [Case("four", "uniform", UNSEEN, seed) for seed in SEEDS])
    missing = [(mode, seed) for seed in SEEDS for mode in JUDGES if str(seed) not in found.get(mode, {})]
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        jobs = {pool.submit(oracle_dice, mode, seed, images): (mode, seed) for mode, seed in missing}
        for job in as_completed(jobs):
            mode, seed = jobs[job]
            found.setdefault(mode, {})[str(seed)] = job.result()
            write_json(RESULTS, found)
            print(f"{mode} seed {seed}: {job.result():.3f}", flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
