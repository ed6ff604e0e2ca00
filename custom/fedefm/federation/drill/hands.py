"""What a drill does to the participants, and how it undoes it; nothing of it outlives the `with` block."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import psutil  # type: ignore[import-untyped]

from fedefm.errors import FedefmError
from fedefm.federation.link import Link
from fedefm.federation.place import Place
from fedefm.federation.sites import Process, family_of, listens, site_process, wait_until
from fedefm.flare.suspending import suspend
from fedefm.simulation.process import kill_tree

JOIN_SECONDS = 60.0


@dataclass
class Hands:
    """Kills, freezes, cuts, suspends, and starts again.

    Attributes:
        place: the federation.
        processes: of its server and hospitals; one that is started again takes the place of the old one.
        links: of hospitals behind one.
        stack: ends what is started here.
        dead: who was killed and not started again.
        suspended: who was taken off the consortium.
        until_lost: who is frozen until the job gives it up.
        trouble: what could not be done, in one line; empty where all could.
        over_at: when the last timed fault is over, by `time.monotonic()`.
    """

    place: Place
    processes: dict[str, Process]
    links: Mapping[str, Link]
    stack: ExitStack
    dead: set[str] = field(default_factory=set)
    suspended: set[str] = field(default_factory=set)
    until_lost: set[str] = field(default_factory=set)
    trouble: str = ""
    over_at: float = field(default_factory=time.monotonic)
    _frozen: set[str] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)
    _timers: dict[tuple[str, str], threading.Timer] = field(default_factory=dict)

    @property
    def wanted(self) -> set[str]:
        """Hospitals that the server has when all is well again."""
        return set(self.processes) - {self.place.server} - self.suspended

    def kill(self, site: str) -> None:
        """Its power fails: all its processes are gone at once."""
        self.thaw(site)
        kill_tree(self.processes[site])  # type: ignore[arg-type]
        self.dead.add(site)

    def start_dead(self) -> None:
        """Start all that were killed, as their people or the machine would.

        Raises:
            FedefmError: the server does not listen in time.
        """
        server = self.place.server
        for site in sorted(self.dead, key=lambda name: (name != server, name)):
            self.processes[site] = self.stack.enter_context(site_process(self.place.kit(site)))
            if site == server:
                wait_until(self._serves, {server: self.processes[server]}, self.place, "listen again")
        self.dead.clear()

    def _serves(self) -> bool:
        return listens(self.place.fl_port) and listens(self.place.admin_port)

    def freeze(self, site: str, seconds: float | None) -> None:
        """It does nothing and says nothing, but its connections stand; for a time, or until the job gives it up."""
        self._signal(site, signal.SIGSTOP)
        self._frozen.add(site)
        self._forget("thaw", site)
        if seconds is None:
            self.until_lost.add(site)
        else:
            self._later("thaw", site, seconds, lambda: self.thaw(site))

    def thaw(self, site: str) -> None:
        """It goes on where it was."""
        if site in self._frozen:
            self._signal(site, signal.SIGCONT)
            self._frozen.discard(site)
            self.until_lost.discard(site)

    def thaw_all(self) -> None:
        """Those whom the job never gave up, as it ended first."""
        for site in [*self.until_lost]:
            self.thaw(site)

    def cut(self, site: str, seconds: float) -> None:
        """Its line is gone for a time: connections break, and new ones too."""
        self.links[site].cut = True
        self._later("mend", site, seconds, lambda: self.mend(site))

    def mend(self, site: str) -> None:
        """Its line is there again."""
        self.links[site].cut = False

    def suspend(self, site: str) -> None:
        """The consortium's admin takes it off; in a thread, as the job goes on meanwhile."""
        self.suspended.add(site)
        admin = self.place.kit(self.place.people["project_admin"])

        def ask() -> None:
            try:
                suspend(admin, site)
            except FedefmError as error:
                self.trouble = str(error)

        self._threads.append(threading.Thread(target=ask, daemon=True))
        self._threads[-1].start()

    def undo(self) -> None:
        """Cut lines are mended, frozen hospitals go on, and what was begun is over; the dead stay dead."""
        for timer in self._timers.values():
            timer.cancel()
        for site in [*self._frozen]:
            self.thaw(site)
        for link in self.links.values():
            link.cut = False
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        self._timers.clear()
        self._threads.clear()

    def _forget(self, what: str, site: str) -> None:
        """The timer of an earlier fault of this kind ends no later one."""
        if (earlier := self._timers.pop((what, site), None)) is not None:
            earlier.cancel()

    def _later(self, what: str, site: str, seconds: float, deed: Callable[[], None]) -> None:
        self._forget(what, site)
        timer = threading.Timer(seconds, deed)
        timer.daemon = True
        timer.start()
        self.over_at = max(self.over_at, time.monotonic() + seconds)
        self._timers[what, site] = timer

    def _signal(self, site: str, number: signal.Signals) -> None:
        pid = self.processes[site].pid
        with suppress(psutil.NoSuchProcess):
            for member in [psutil.Process(pid), *family_of(pid)]:  # parents first: a stopped one starts no other
                with suppress(psutil.NoSuchProcess):
                    member.send_signal(number)


@contextmanager
def hands_on(place: Place, processes: dict[str, Process], links: Mapping[str, Link]) -> Iterator[Hands]:
    """Hands on a federation that runs; in the end nothing is cut or frozen, and what they started has ended."""
    with ExitStack() as stack:
        hands = Hands(place, processes, links, stack)
        try:
            yield hands
        finally:
            hands.undo()


def lines(place: Place, rates: Mapping[str, float]) -> dict[str, Link]:
    """A link for each hospital whose kit names one, as thin as `rates` says."""
    return {site: Link(port, place.fl_port, rates.get(site)) for site, port in place.links.items()}
