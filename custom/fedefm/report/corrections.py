"""The page in a folder of corrections: which slice is which frame, and what to do next."""

from collections.abc import Sequence

from fedefm.report.palette import class_colours
from fedefm.report.templates import environment


def corrections_page(classes: Sequence[str], runs: Sequence[tuple[str, Sequence[int]]], model: str) -> str:
    """The page.

    Args:
        classes: foreground class names, in label order.
        runs: of each its name and the numbers of its frames, in the order of the slices.
        model: fingerprint of the weights that proposed the masks.
    """
    return (
        environment()
        .get_template("corrections.html")
        .render(class_colours=class_colours(classes), runs=runs, model=model)
    )
