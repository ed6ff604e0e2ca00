"""Every setting of a data report, in one validated value read from one file."""

from __future__ import annotations

from pathlib import Path

from pydantic import NonNegativeInt, PositiveInt

from fedefm.metrics.suppression import LEAST_IMAGES
from fedefm.settings import ClassNames, JsonSettings, load, settings_class

SETTINGS_FILE = "data_report.json"


@settings_class
class Survey(JsonSettings):
    """A data report.

    Attributes:
        classes: class names of the consortium; a hospital tells of no other by name.
        name: of the run.
        least_images: counts and figures of fewer images stay at the hospital, which may ask for more, not for less.
        compare_pictures: count for each two hospitals how many pictures both have; a hospital may refuse.
        min_sites: fewer hospitals than this end the job.
        seed: names the tasks; nothing is drawn at random.
        stage_timeout: most seconds of silence after which a hospital's task is given up.

    Raises:
        ConfigError: a value is ill-typed or out of range.
    """

    classes: ClassNames
    name: str = "data_report"
    least_images: PositiveInt = LEAST_IMAGES
    compare_pictures: bool = True
    min_sites: PositiveInt = 1
    seed: NonNegativeInt = 0
    stage_timeout: PositiveInt = 600


def load_survey(path: Path) -> Survey:
    """Read the settings of a data report.

    Raises:
        ConfigError: the file is missing, not JSON, or has a wrong value.
    """
    return load(Survey, path)
