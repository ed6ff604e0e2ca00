"""How good a segmentation is: plain functions on label maps of numpy, without torch, files or FLARE."""

from fedefm.metrics.authors import authors_scores
from fedefm.metrics.bootstrap import Interval, bootstrap_mean
from fedefm.metrics.calibration import expected_calibration_error
from fedefm.metrics.centreline import centreline_dice, skeleton
from fedefm.metrics.continuity import pieces
from fedefm.metrics.overlap import dice, iou, mean_iou
from fedefm.metrics.scores import ScoredImage, score_cases
from fedefm.metrics.suppression import suppress_small
from fedefm.metrics.surface import hausdorff95
from fedefm.metrics.tip import Tip, device_tip, tip_distance

__all__ = [
    "Interval",
    "ScoredImage",
    "Tip",
    "authors_scores",
    "bootstrap_mean",
    "centreline_dice",
    "device_tip",
    "dice",
    "expected_calibration_error",
    "hausdorff95",
    "iou",
    "mean_iou",
    "pieces",
    "score_cases",
    "skeleton",
    "suppress_small",
    "tip_distance",
]
