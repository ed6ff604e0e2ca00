"""A hospital's side of any job: what the three executors share, from a task to the reply that goes back."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedefm.errors import ConfigError, DataError, FedefmError
from fedefm.exchange.messages import Task
from fedefm.flare.envelope import (
    MODELS,
    SHA256,
    WEIGHTS,
    LacksError,
    decode_assignment,
    emptied,
    encode_error,
    encode_lacks,
    encode_result,
    register_decomposers,
    tell_held,
    wanted_of,
)
from fedefm.flare.filters import check_filters, remember_sent
from fedefm.flare.free_memory import give_back
from fedefm.flare.job_files import output_folder, seen_weights_folder, settings_path, site_folder
from fedefm.flare.metrics import send_scalars
from fedefm.flare.orders import Tally, watch_over
from fedefm.flare.outbox import note_what_leaves
from fedefm.flare.site_config import SiteConfig, load_site_config
from fedefm.flare.steps import StepTeller
from fedefm.flare.versions import check_server
from fedefm.maths.size import nbytes
from fedefm.training.site import Site
from fedefm.training.weights_store import WeightsStore
from fedefm.training.wire import TensorWire

_WORKED = "fedefm_worked"


class JobExecutor(Executor, ABC):
    """Works on one task at a time with the site's own data.

    Nothing that matters lives in the object: a process that takes the place of a killed one reads the site's
    configuration when the run starts and its images when a task first needs them.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str):
        super().__init__()
        self._settings_file = settings_file
        self._opened: _Opened | FedefmError = ConfigError("the run has not started")

    @abstractmethod
    def open_site(self, name: str, config: SiteConfig, settings: Path, output: Path) -> Site:
        """The hospital at work, as the job has it.

        Args:
            name: the site.
            config: what the site decides for itself.
            settings: file of the job's settings.
            output: folder of the run in which the site may leave files of its own.

        Raises:
            FedefmError: the settings cannot be used.
        """

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Read the site's configuration when the run starts; an error is kept for the server's first question."""
        if event_type == EventType.END_RUN and not isinstance(self._opened, FedefmError):
            self._opened.store.clear()
        if event_type == EventType.AFTER_TASK_RESULT_FILTER:
            self._before_it_leaves(fl_ctx)
        if event_type != EventType.START_RUN:
            return
        register_decomposers()
        if fl_ctx.get_prop(FLContextKey.SECURE_MODE, False):  # not in the simulator, where all is one process
            watch_over(fl_ctx.get_engine().get_cell().core_cell, Tally())
        try:
            self._opened = self._open(fl_ctx)
        except FedefmError as error:
            self.log_error(fl_ctx, nameless(error), fire_event=False)
            self._opened = error

    def _before_it_leaves(self, fl_ctx: FLContext) -> None:
        """Note a reply in the site's ledger, as the filters have left it; figures go to TensorBoard only afterwards."""
        reply = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
        worked = fl_ctx.get_prop(_WORKED)
        fl_ctx.set_prop(_WORKED, None, private=True, sticky=False)
        try:
            note_what_leaves(reply, fl_ctx)
        except BaseException as error:  # FLARE swallows it, and would send the reply all the same
            self.log_error(fl_ctx, f"nothing was sent: {nameless(error)}", fire_event=False)
            emptied(reply, error)
            return
        if worked is not None:
            send_scalars(self, worked.task, worked.report, fl_ctx)

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Do one task; an error is told to the server by its class alone, and to the site's own log without names."""
        try:
            return self._work(task_name, shareable, fl_ctx, abort_signal)
        except FedefmError as error:
            self.log_error(fl_ctx, f"{task_name}: {nameless(error)}", fire_event=False)
            return encode_error(error)
        except Exception as error:
            self.log_error(fl_ctx, f"{task_name}: {nameless(error)}{traceback_of(error)}", fire_event=False)
            return encode_error(error)

    def _open(self, fl_ctx: FLContext) -> _Opened:
        name = fl_ctx.get_identity_name()
        config = load_site_config(site_folder(fl_ctx), name)
        settings = settings_path(fl_ctx, self._settings_file)
        site = self.open_site(name, config, settings, output_folder(fl_ctx))
        store = WeightsStore(seen_weights_folder(fl_ctx), config.weights_megabytes * 1_000_000)
        return _Opened(site, config, store, TensorWire(site.wire))

    def _work(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """The result of a task; in its place, where weights of it are not here, which these are."""
        check_server(shareable)  # first: settings of another version may not be readable here
        if isinstance(self._opened, FedefmError):
            raise self._opened
        site, config, store, wire = self._opened
        check_filters(fl_ctx, site.noise)
        wanted = wanted_of(shareable)
        store.keep(wanted)
        try:
            assignment = decode_assignment(shareable, site.name, task_name, store, wire)
        except LacksError as error:
            self.log_info(fl_ctx, str(error), fire_event=False)
            return _telling(store, encode_lacks(error), wanted)
        shareable.pop(MODELS, None)  # FLARE holds the message until the work is done; the store has what came with it
        config.check(assignment)
        remember_sent(assignment, fl_ctx)
        site.tell_steps(StepTeller(self, fl_ctx))
        size = sum(map(nbytes, assignment.models.values()))
        give_back(size)  # what the message took is free now, and the work takes as much again
        result = site.perform(assignment, lambda: bool(abort_signal.triggered))
        fl_ctx.set_prop(_WORKED, _Worked(assignment.task, result.report), private=True, sticky=False)
        give_back(size)
        reply, asked = encode_result(result, wire), set(wanted)
        if result.weights is not None:
            store.put(reply.get_header(SHA256), reply[WEIGHTS])
            asked.add(reply.get_header(SHA256))
        return _telling(store, reply, asked)


class _Worked(NamedTuple):
    """Whose figures TensorBoard gets, once they may leave."""

    task: Task
    report: Mapping[str, Any]


class _Opened(NamedTuple):
    """What an executor has when the run has started."""

    site: Site
    config: SiteConfig
    store: WeightsStore
    wire: TensorWire


def _telling(store: WeightsStore, reply: Shareable, asked: Iterable[str]) -> Shareable:
    """Let a reply say which of these weights the hospital holds; nothing of it where it keeps none."""
    return tell_held(reply, store.holds(asked)) if store.is_open else reply


LOOK = "`fedefm data check` of the folder that local/fedefm_site.json names says on this machine's screen which and why"


def nameless(error: BaseException) -> str:
    """An error for a log: its class, and its text where that can name no file of the hospital's data.

    A file's name may be a patient's. Errors of data name files, and so do those of other libraries.
    """
    if isinstance(error, DataError):
        return f"DataError: images or masks cannot be used; {LOOK}"
    return f"{type(error).__name__}: {error}" if isinstance(error, FedefmError) else type(error).__name__


def traceback_of(error: Exception) -> str:
    """Where an error was raised, innermost last: places in the code, without values and without any text of it."""
    return "".join(
        f"; {Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    )
