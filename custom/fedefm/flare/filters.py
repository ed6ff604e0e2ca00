"""Filters of a site's privacy scope on what leaves: on the weights of a result, in this package's own messages.

FLARE's own filters look for a `DXO`. In any other message they change nothing and say nothing, so that a hospital
believes its weights filtered which are not. Here is a base for filters that work on our results, noise as one of them,
and `OnUpdate`, which hands FLARE's filters what they look for. Whatever else stands in the scope is refused in words
before a hospital's first task (`check_filters`).
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.dxo_filter import DXOFilter
from nvflare.apis.filter import Filter
from nvflare.apis.fl_constant import FilterKey, FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.fuel.utils.class_loader import load_class

from fedefm.errors import ConfigError
from fedefm.exchange.messages import STUDENT, Assignment
from fedefm.flare.envelope import WEIGHTS, Weights, seal
from fedefm.maths.half import widen

_SENT = "fedefm_sent"
_CHAINS = ("task_data_filters", "task_result_filters")


class WeightsFilter(Filter):
    """Changes the weights of a result before they leave the site; a result without weights passes as it is.

    Whole numbers alone are no weights: a network has fractions, and the points of a count of pictures have none.

    Attributes:
        deviation: standard deviation of the noise that it adds to each weight; 0 where it adds none that it knows of.
    """

    deviation = 0.0

    @abstractmethod
    def change(self, sent: Weights, trained: Weights, fl_ctx: FLContext) -> Weights:
        """The weights that leave.

        Args:
            sent: those that the hospital was sent.
            trained: those that its work made of them.
            fl_ctx: context of the task.
        """

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """Change the weights of a result, and hash what leaves."""
        if not any(value.is_floating_point() for value in (shareable.get(WEIGHTS) or {}).values()):
            return shareable
        sent = fl_ctx.get_prop(_SENT)
        if not isinstance(sent, dict):
            raise ConfigError(f"privacy.json: {type(self).__name__} met a result that does not answer a task of ours")
        return seal(shareable, self.change(sent, widen(shareable[WEIGHTS]), fl_ctx))


class GaussianNoise(WeightsFilter):
    """Adds normal noise to each weight. It is noise and no more: no budget of differential privacy is kept.

    Args:
        deviation: its standard deviation; the job's `noise` must allow it.

    Raises:
        ConfigError: the deviation is no number above 0.
    """

    def __init__(self, deviation: float):
        super().__init__()
        if isinstance(deviation, bool) or not isinstance(deviation, (int, float)) or not 0 < deviation < float("inf"):
            raise ConfigError("privacy.json: the deviation of GaussianNoise must be a number above 0")
        self.deviation = float(deviation)

    def change(self, sent: Weights, trained: Weights, fl_ctx: FLContext) -> Weights:
        """Trained weights with noise that nobody can draw again: its seed is of the system's own chance."""
        generator = torch.Generator().manual_seed(secrets.randbits(63))

        def noisy(value: torch.Tensor) -> torch.Tensor:
            if not value.is_floating_point():
                return value
            return value + self.deviation * torch.randn(value.shape, generator=generator, dtype=value.dtype)

        return {name: noisy(value) for name, value in trained.items()}


class OnUpdate(WeightsFilter):
    """One of FLARE's filters, on the difference between the weights that came and those that leave.

    FLARE's filters are made for differences: on whole weights, one that keeps a tenth of the values would leave no
    network. A tensor that the filter takes out stays as it came.

    Args:
        path: the filter's class, such as `nvflare.app_common.filters.percentile_privacy.PercentilePrivacy`.
        args: its arguments.

    Raises:
        ConfigError: the class is no filter of FLARE's `DXO`, or refuses its arguments.
    """

    def __init__(self, path: str, args: Mapping[str, Any] | None = None):
        super().__init__()
        try:
            made = load_class(path)(**(args or {}))
        except Exception as error:
            raise ConfigError(
                f"privacy.json: {path!r:.120} cannot be made ({type(error).__name__}: {error})"
            ) from error
        if not isinstance(made, DXOFilter):
            raise ConfigError(f"privacy.json: {path!r:.120} is none of FLARE's filters of a DXO")
        self._inner = made

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Let the filter know when a run starts."""
        self._inner.handle_event(event_type, fl_ctx)

    def change(self, sent: Weights, trained: Weights, fl_ctx: FLContext) -> Weights:
        """What was sent plus the filtered difference."""
        names = [name for name, value in trained.items() if value.is_floating_point()]
        update = {name: (trained[name] - sent[name]).numpy() for name in names}
        message = DXO(DataKind.WEIGHT_DIFF, update).update_shareable(make_reply(ReturnCode.OK))
        left = from_shareable(self._inner.process(message, fl_ctx)).data
        added = {name: torch.as_tensor(left[name], dtype=sent[name].dtype) for name in names if name in left}
        return {name: sent[name] + added[name] if name in added else sent[name] for name in trained}


def remember_sent(assignment: Assignment[Weights], fl_ctx: FLContext) -> None:
    """Keep for the filters what the hospital was sent, as long as the task lasts."""
    fl_ctx.set_prop(_SENT, assignment.models.get(STUDENT), private=True, sticky=False)


def check_filters(fl_ctx: FLContext, noise: float) -> None:
    """Refuse a scope whose filters cannot work on the job's messages, before any work is done.

    Args:
        fl_ctx: context of a task; FLARE has put the site's scope into it.
        noise: the greatest standard deviation of noise that the job takes.

    Raises:
        ConfigError: one line that names the filter and what to do.
    """
    scope = fl_ctx.get_prop(FLContextKey.SCOPE_OBJECT)
    for chain in _CHAINS if scope else ():
        for direction, filters in getattr(scope, chain).items():
            for one in filters:
                _check(one, chain == _CHAINS[1] and direction == FilterKey.OUT, noise)


def _check(one: object, leaves: bool, noise: float) -> None:
    name = type(one).__name__
    if not isinstance(one, WeightsFilter):
        raise ConfigError(
            f"privacy.json: {name} does not see this job's weights and would filter nothing; name it inside "
            "fedefm.flare.filters.OnUpdate, or take it out"
        )
    if not leaves:
        raise ConfigError(f"privacy.json: {name} works on results that leave; name it in task_result_filters")
    if one.deviation > noise:
        raise ConfigError(
            f"privacy.json: {name} adds noise of deviation {one.deviation:g}, the job takes up to {noise:g} and would "
            "refuse the weights; ask the lead to raise the job's 'noise'"
        )
