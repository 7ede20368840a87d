"""Which run waits for which, and which of those that are ready goes first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from lottery.data import Corpus
from lottery.experiment.plan import needs
from lottery.experiment.shelf import DiskShelf
from lottery.runs.store import Store
from lottery.settings import Settings, title

Key = tuple[str, int]  # a run's name, and 0; or a dense run's name, and k: its weights θₖ


@dataclass(frozen=True, eq=False)
class Work:
    """What a study wants trained."""

    shelf: DiskShelf
    runs: Sequence[Settings]
    corpora: Callable[[Settings], Corpus]  # the texts of a run
    wanted: tuple[str | None, int | None] = (None, None)  # device and threads; None: the worker's


@dataclass
class Node:
    """One run of the graph, or θₖ of a dense run."""

    work: Work
    settings: Settings
    step: int
    state: str = "waiting"  # then ready, submitted, done; or failed
    after: set[Key] = field(default_factory=set)  # what it still waits for
    above: set[Key] = field(default_factory=set)  # what waits for it
    height: float = 0.0  # from its start to the end of the longest chain that stands on it
    begun: int = 0  # by how many workers, since it last got further
    given_up: int = 0  # how often Dask gave it up
    sent: bool = False  # what it stands on must travel, whatever its worker sees
    held: ExitStack = field(default_factory=ExitStack)  # its lock

    @property
    def key(self) -> Key:
        return self.settings.run, self.step

    @property
    def title(self) -> str:
        return title(self.settings) + (f" at step {self.step}" if self.step else "")


def graph(asked: Sequence[Work]) -> dict[Key, Node]:
    """The runs asked for, and those that they need the weights of and that left none."""
    nodes: dict[Key, Node] = {}
    for work in asked:
        for settings in work.runs:
            add(nodes, work, settings)
    measure(nodes, usual_seconds(work.shelf.store for work in asked))
    return nodes


def usual_seconds(stores: Iterable[Store], device: str = "") -> dict[tuple[str, str], float]:
    """For each dataset and model the median seconds of a run, from the records of these stores.

    Where some were made on this kind of `device` ("cpu", "cuda"), of those alone."""
    here: dict[tuple[str, str], list[float]] = defaultdict(list)
    elsewhere: dict[tuple[str, str], list[float]] = defaultdict(list)
    for store in set(stores):
        for record in store.records()[0]:
            if not record.failed:
                spent = here if record.device.startswith(device) else elsewhere
                spent[record.settings.pair].append(record.seconds)
    return {pair: median(some) for pair, some in (elsewhere | here).items()}


def add(nodes: dict[Key, Node], work: Work, settings: Settings, step: int = 0) -> Key:
    """Put a run, or a dense run's θₖ, into the graph with all that it waits for."""
    key = settings.run, step
    if key not in nodes:
        nodes[key] = Node(work, settings, step)
        wait(nodes, nodes[key])
    return key


def wait(nodes: dict[Key, Node], node: Node) -> None:
    """Let a node wait for the weights that it needs and the results folder does not have.

    A rung needs the `lt` run below, and that alone; rewinding late, θₖ as well; and with another
    dataset's mask the ticket that has it.
    """
    if node.step:
        return
    for need in needs(node.settings):
        if not node.work.shelf.has_weights(*need):
            node.after.add(add(nodes, node.work, *need))
    for key in node.after:
        nodes[key].above.add(node.key)


def measure(nodes: dict[Key, Node], seconds: Mapping[tuple[str, str], float]) -> None:
    """Fill in the heights: in seconds of a run, if `seconds` knows every dataset and model; else
    in runs."""
    pairs = [node.settings.pair for node in nodes.values()]
    if not all(pair in seconds for pair in pairs):
        seconds = dict.fromkeys(pairs, 1.0)

    def from_the_top(node: Node) -> tuple:
        return -node.settings.rung, not node.settings.source, node.step

    for node in sorted(nodes.values(), key=from_the_top):
        own = seconds[node.settings.pair]
        node.height = own + max((nodes[key].height for key in node.above), default=0.0)
