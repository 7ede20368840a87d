"""What a command would train, and how long that would take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache

from lottery.cluster.graph import Work, graph, usual_seconds
from lottery.experiment.plan import needs
from lottery.settings import Settings, title
from lottery.training.train import Diverged
from lottery.upkeep.status import aligned, clock

HOW_LONG = "about: as long as runs with a record took (the median), one after the other"
HERE = f"{HOW_LONG}; on this kind of device, if there are such"


@dataclass
class Outlook:
    """The runs of one dataset and model that a command asks for."""

    asked: int = 0
    missing: list[str] = field(default_factory=list)  # those without a record
    again: list[str] = field(default_factory=list)  # of those whose weights are gone and needed
    never: list[str] = field(default_factory=list)  # that stand on a failed run, and why
    seconds: float = 0.0  # of all that would be trained, late rewinding's first steps left out
    known: bool = True  # do records tell how long such a run takes?


def outlooks(asked: Iterable[Work], device: str = "") -> dict[tuple[str, str], Outlook]:
    """For each dataset and model what training all runs of `asked` would come to, on such a
    `device` ("cpu", "cuda"; "": not known)."""
    asked = list(asked)
    found: dict[tuple[str, str], Outlook] = {}

    def of(settings: Settings) -> Outlook:
        return found.setdefault(settings.pair, Outlook())

    for settings in {run.run: run for work in asked for run in work.runs}.values():
        of(settings).asked += 1

    @cache
    def failed(work: Work, settings: Settings) -> str:
        """Which failed run this one stands on; "" if on none."""
        for run, step in needs(settings):
            try:
                if not step:
                    work.shelf.check_failed(run)
            except Diverged as error:
                return str(error)
            if why := failed(work, run):
                return why
        return ""

    undone = [
        replace(work, runs=[run for run in work.runs if not work.shelf.is_done(run)])
        for work in asked
    ]
    usual = usual_seconds((work.shelf.store for work in asked), device)
    for node in graph(undone).values():
        if node.step:
            continue
        outlook, pair = of(node.settings), node.settings.pair
        name = f"{node.settings.dataset} {title(node.settings)}"
        if why := failed(node.work, node.settings):
            outlook.never.append(f"{name}, {why}")
            continue
        has_record = node.work.shelf.store.record_path(node.settings).exists()
        (outlook.again if has_record else outlook.missing).append(name)
        outlook.seconds += usual.get(pair, 0.0)
        outlook.known = pair in usual
    return found


def forecast(asked: Iterable[Work], device: str = "") -> list[str]:
    """The same as lines for a person: a table, then every run that would be trained."""
    found = outlooks(asked, device)
    rows = [("", "asked", "to train", "again", "about")]
    for (dataset, model), o in found.items():
        trained = len(o.missing) + len(o.again)
        about = clock(o.seconds) if trained and o.known else "?" if trained else ""
        counts = map(str, (o.asked, len(o.missing), len(o.again)))
        rows.append((f"{dataset} {model}", *counts, about))
    lines = aligned(rows)
    if any(o.seconds for o in found.values()):
        lines.append(HERE if device else HOW_LONG)
    for o in found.values():
        lines += [f"to train: {name}" for name in o.missing]
        lines += [f"again, for its weights are gone: {name}" for name in o.again]
        lines += [f"cannot be: {name}" for name in o.never]
    return lines
