"""Tickets beside their dense network: bytes, memory and milliseconds, into results/speed.json.

    python benchmarks/tickets.py [FOLDER ...]     default: every folder of results/tickets

    torch   the dense network of PyTorch's own layers, on padded texts
    dense   the dense network by this project's kernels
    ticket  the same kernels, which leave out what the mask removes

Texts are those of the ticket's own test set. The ways take turns on the same texts; given are
medians over the rounds. Time and bytes of a dense network do not depend on its values: it has those
that its training began with. Memory is the peak of a process of its own that loads the network and
answers 64 texts, Python and PyTorch among it. Measure on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import safetensors.torch
import torch

from lottery import Ticket, data, models
from lottery.data.batches import Split, batches, by_length
from lottery.experiment.plan import below
from lottery.files import UserError, root, write_whole
from lottery.report.speed import WAYS
from lottery.tickets import folder as folders
from lottery.tickets.ticket import is_own, padded
from lottery.training import device

sys.path.insert(0, str(Path(__file__).parent))
import machine
import pruned

SIZES = (1, 64)  # texts that are asked for at once
TEXTS = 2048  # of the throughput, in batches of 256


def network(ticket: Ticket, way: str) -> Callable[[Split], object]:
    """What answers a batch of encoded texts in one of the three ways."""
    if way == "ticket":
        ours = ticket.model()
    else:
        whole = models.draw(ticket.model(sparse=False), 0)
        ours = (ticket.to_torch() if way == "torch" else ticket.model(sparse=False)).eval()
        ours.load_state_dict(whole)
    if way == "torch":
        return lambda split: ours(*padded(split))
    return lambda split: [ours(batch) for batch in batches(split, len(split))]


@torch.no_grad()
def measure(ticket: Ticket, test: Split, rounds: int) -> dict[str, dict[str, float]]:
    """By way: `ms_1` and `ms_64` for so many texts, `texts_a_second` of many."""
    ways = {way: network(ticket, way) for way in WAYS}
    spent: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):  # the first one compiles and warms
        order = np.random.default_rng(number).permutation(len(test))
        some = {f"ms_{size}": [test.take(order[k * size : (k + 1) * size]) for k in range(16)]
                for size in SIZES if size * 16 <= len(test)}  # fmt: skip
        many = test.take(order[:TEXTS])
        rows = by_length(many)  # as evaluation does
        some["many"] = [many.take(rows[k : k + 256]) for k in range(0, len(rows), 256)]
        for name, texts in some.items():
            for way, answer in ways.items():
                device.use("cpu")
                if way == "torch":  # it divides its work itself, on all cores
                    torch.set_num_threads(numba.get_num_threads())
                answer(texts[0])
                start = time.perf_counter()
                for split in texts:
                    answer(split)
                seconds = (time.perf_counter() - start) / len(texts)
                spent.setdefault((way, name), []).append(seconds)
    device.use("cpu")
    found: dict[str, dict[str, float]] = {way: {} for way in WAYS}
    for (way, name), seconds in spent.items():
        middle = float(np.median(seconds[1:]))
        if name == "many":
            found[way]["texts_a_second"] = min(TEXTS, len(test)) / (middle * len(some["many"]))
        else:
            found[way][name] = 1e3 * middle
    return found


def size(ticket: Ticket, place: Path, way: str) -> int:
    """Bytes on disk: weights and mask of a ticket, or weights of a dense network."""
    if way == "ticket":
        with tempfile.TemporaryDirectory() as spare:
            folders.write(Path(spare) / "ticket", ticket.contents, "")
            names = (folders.MODEL, folders.MASK)
            return sum((Path(spare) / "ticket" / name).stat().st_size for name in names)
    return len(safetensors.torch.save(dict(ticket.trained)))


def peak(place: Path, way: str, texts: Split) -> float | None:
    """MiB that a process of its own has had when it has answered."""
    return pruned.by_itself(_peak, place, way, texts)


def _peak(place: Path, way: str, texts: Split) -> float | None:
    device.use("cpu")
    answer = network(Ticket.load(place), way)
    with torch.no_grad():
        answer(texts)
    return pruned.peak_mib()


def run(places: Sequence[Path], out: Path, rounds: int = 15, say=print) -> dict[str, Any]:
    """Measure these tickets, and write all to `out`; UserError without a ticket's own corpus."""
    device.use("cpu")
    before, rows = machine.facts(), []
    for place in places:
        ticket = Ticket.load(place)
        s = ticket.settings
        corpus = data.load(
            s.dataset, split_seed=s.split_seed, vocabulary_size=s.vocabulary_size, say=say
        )
        if not is_own(ticket, corpus):
            raise UserError(f"{place}: was trained on another {s.dataset} than is here")
        dense = s
        while dense.ladder:
            dense = below(dense)
        test = corpus.test.cut(s.max_tokens)
        for way, times in measure(ticket, test, rounds).items():
            say(f"{place.name}, {way}: {times['ms_1']:.2f} ms a text")
            known = {"dataset": s.dataset, "model": s.model, "way": way}
            known["run"] = s.run if way == "ticket" else dense.run
            taken = {"bytes": size(ticket, place, way), "mib": peak(place, way, test.take(
                np.arange(min(64, len(test)))))}  # fmt: skip
            rows.append(known | taken | times)
    found = {"machine": before, "rounds": rounds, "rows": rows}
    write_whole(Path(out), json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=root() / "results" / "speed.json")
    parser.add_argument("--rounds", type=int, default=15, help="of which medians are taken")
    given = parser.parse_args()
    there = sorted(path.parent for path in (root() / "results" / "tickets").glob("*/config.json"))
    run(given.folders or there, given.out, given.rounds, partial(print, file=sys.stderr))
