"""A run's tested network from the results to a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from lottery import models
from lottery.analysis import protocols, selection, verdict
from lottery.data import Own, texts_of
from lottery.experiment.plan import below
from lottery.files import UserError, amount, check_known
from lottery.pruning import arms
from lottery.pruning.masks import counts
from lottery.pruning.scores import SCORES
from lottery.pruning.tickets import Weights
from lottery.recipes import RECIPES
from lottery.report.words import percent, points
from lottery.runs.record import Record
from lottery.runs.store import Store
from lottery.settings import TRANSFERRED, Settings, settable, title
from lottery.study import Study
from lottery.tickets import folder as folders
from lottery.tickets import inside, plain
from lottery.tickets import onnx as graphs
from lottery.tickets.card import card
from lottery.tickets.check import check
from lottery.tickets.folder import Contents
from lottery.tickets.ticket import Ticket, begins_with_first

ELSEWHERE = (
    "arm {arm}: the mask is another dataset's; what can be exported was pruned on its own texts, "
    "e.g. --arm lt"
)
CODED = (
    "{code}: what is made with a score, arm or model of your own cannot be exported, for a "
    "ticket's folder must load without its code; name one made with the package's own"
)
AGAIN = (
    "Its weights were gone; this network was trained again, which on another machine gives a near "
    "one: {found}"
)
SHOWN = 3  # of the runs that are not taken
DENSE = "its dense network of the same seed has {accuracy}"
DIFFERENCE = "; over {seeds} seeds such tickets are {mean} points from dense ({low} to {high})"


def find(records: Iterable[Record], model: str, arm: str, sparsity: float, seed: int) -> Record:
    """The run of today's recipe; UserError that names what there is."""
    if arm.startswith(TRANSFERRED):
        raise UserError(ELSEWHERE.format(arm=arm))
    records = list(records)
    alike = [r.settings for r in records if (r.settings.model, r.settings.arm) == (model, arm)]
    if alike and all(s.code for s in alike):
        raise _coded(alike[0])
    check_known("model", model, models.MODELS)
    check_known("arm", arm, arms.ARMS)
    own = [
        r for r in selection.in_report(records)
        if not r.failed and (r.settings.model, r.settings.arm) == (model, arm)
        and not protocols.variant(r.settings)
    ]  # fmt: skip
    ladders = [record.settings.ladder for record in own]

    def reach(record: Record) -> int:  # of two ladders that end alike, the report has the longer
        begun = record.settings.ladder
        return max(len(ladder) for ladder in ladders if ladder[: len(begun)] == begun)

    same = [r for r in own if (r.settings.sparsity, r.settings.seed) == (sparsity, seed)]
    if same:
        return max(same, key=reach)
    steps, seeds = (sorted({getattr(r.settings, n) for r in own}) for n in ("sparsity", "seed"))
    known = "none"
    if own:
        known = f"sparsities {', '.join(map('{:g}'.format, steps))}; "
        known += f"seeds {', '.join(map(str, seeds))}"
    raise UserError(f"no {model} {arm} of sparsity {sparsity:g}, seed {seed}: there are {known}")


def choice(record: Record, records: Iterable[Record]) -> str:
    """A line that says by what settings `record` was made, and of others like it by what others.

    Empty where it is by the pair's recipe, or the defaults, and there is no other.
    """
    s = record.settings

    def like(one: Settings) -> bool:
        names = ("dataset", "model", "arm", "sparsity", "seed")
        return one != s and all(getattr(one, name) == getattr(s, name) for name in names)

    others = [r.settings for r in records if not r.failed and like(r.settings)]
    own = replace(protocols.protocol(s.pair), arm=s.arm, ladder=s.ladder, seed=s.seed)
    usual = "the recipe's settings" if s.pair in RECIPES else "the default settings"

    def said(one: Settings) -> str:
        return protocols.words(protocols.differences(one, protocols.plain(own))) or usual

    if not others and said(s) == usual:
        return ""
    line = f"{title(s)}: the one taken has {said(s)}"
    if others:
        shown = [said(one) for one in others[:SHOWN]]
        shown += [f"and {more} more"] if (more := len(others) - SHOWN) > 0 else []
        line += f"; {amount(len(others), 'other is', 'others are')} there ({'; '.join(shown)})"
    return line


def _coded(settings: Settings) -> UserError:
    """Why a run with code from outside is not exported; the code without its digest."""
    names = (" ".join(part.split(" ")[:2]) for part in settings.code)
    return UserError(CODED.format(code=", ".join(names)))


def export(
    store: Store,
    record: Record,
    folder: Path,
    first: bool = True,
    say: Callable[[str], object] = print,
    *,
    texts: Own | None = None,
    inside: bool = False,
    onnx: bool = False,
    small: bool = False,
) -> Ticket:
    """Write the tested network of `record` to `folder`; trained again if its weights are gone.

    `texts` are those that it was trained on, of a corpus from outside.

    With its first values, unless they are not to be stored or are none of this arm's own. With
    what is shown of other networks (`inside`), the model as a graph (`onnx`); `small` packs files.
    UserError if something is there, a graph cannot be made, no rung is below to show, or the mask
    is another dataset's.
    """
    folders.check_free(folder)
    if onnx:
        graphs.libraries()  # before anything is trained
    s = record.settings
    if s.source:
        raise UserError(ELSEWHERE.format(arm=s.arm))
    if inside and (below(s) is None or SCORES[s.score].of_first):
        why = f"score {s.score} looks at first values alone" if s.rung else "it is dense"
        raise UserError(f"{why}: no rung below to show; leave out --inside")
    if s.code:
        raise _coded(s)
    if s.model not in plain.MODELS:
        raise UserError(f"model {s.model} has no form of PyTorch's own layers: add it to plain.py")
    own = {f.name: getattr(s, f.name) for f in settable()}  # not the recipe's
    plan = texts_of(s.dataset, texts), [s.model], s.ladder or [0.5], ["lt"], [s.seed]
    study = Study(*plan, store=store, say=say, **own)
    was_gone = not store.tested_path(s).exists()
    corpus = study.corpus  # said before there is a bar, which a line would draw though it is idle
    weights, mask = study.tested(s)
    contents = Contents(
        record=record,
        classes=corpus.classes,
        vocabulary=corpus.vocabulary,
        trained=weights,
        mask=mask,
        facts=facts(record, store.records(s.dataset)[0]),
    )
    if was_gone and (found := check(Ticket(contents), say, texts)).differ:
        again = AGAIN.format(found=found)
        say(again)
        contents = replace(contents, facts={**contents.facts, "again": f" {again}."})
    if first and begins_with_first(s):
        contents = replace(contents, first=Ticket(contents).first)
    if inside:
        contents = replace(contents, inside=_inside(study, Ticket(contents)))
    graph = graphs.graph(Ticket(contents)) if onnx else None
    folders.write(folder, contents, card(contents, onnx, small), graph, small)
    return Ticket.load(folder)


def _inside(study: Study, ticket: Ticket) -> Weights:
    """Of one tensor the rung that removed each weight, and where the dense network differs."""
    rung, masks = ticket.settings, []
    while rung.ladder:
        masks.append(study.tested(replace(rung, arm="lt").checked())[1])
        rung = below(rung)
    name = inside.shown(ticket.settings)
    weights, mask = study.tested(rung)
    dense = Ticket(replace(ticket.contents, record=study.shelf.record(rung), trained=weights,
                           mask=mask))  # fmt: skip
    texts = study.corpus.test.cut(rung.max_tokens)
    return {f"rung/{name}": inside.removed([m[name] for m in masks[::-1]])} | inside.differ(
        ticket.logits(texts), dense.logits(texts)
    )


def facts(record: Record, records: list[Record]) -> dict[str, object]:
    """What the card says beside the record."""
    s = record.settings
    removed = [sum(column) for column in zip(*record.layers.values(), strict=True)]
    name = verdict.pair_name(*s.pair)
    alike = [
        r for r in records
        if not r.failed and protocols.identity(r) == protocols.identity(record)
    ]  # fmt: skip
    dense = [r for r in alike if r.settings.arm == "dense"]
    same = [r for r in alike if replace(r.settings, seed=s.seed) == s]
    told = [
        DENSE.format(accuracy=percent(r.test_accuracy)) for r in dense if r.settings.seed == s.seed
    ]
    found = verdict.fact(verdict.TICKET, same, dense).interval if s.rung else None
    if told and found and found.seeds > 1:
        low, mean, high = map(points, (found.low, found.mean, found.high))
        told[0] += DIFFERENCE.format(seeds=found.seeds, mean=mean, low=low, high=high)
    return {
        "title": f"{name}, {arms.label(s.arm)}",
        "kept": removed[1] - removed[0],
        "weights": removed[1],
        "dense": "".join(told) or "its dense network was not run",
    }


def sizes(ticket: Ticket, folder: Path) -> dict[str, int]:
    """Bytes of the folder, of weights and mask, and the least these need: 4 a kept weight and 1/8
    a place.
    """
    names = (folders.MODEL, folders.MASK)
    parts = [path for name in names for path in Path(folder).glob(f"{name}*")]
    kept = sum(of - gone for gone, of in counts(ticket.mask).values())
    free = sum(w.numel() for name, w in ticket.trained.items() if name not in ticket.mask)
    places = sum(part.numel() for part in ticket.mask.values())
    return {
        "folder": sum(path.stat().st_size for path in Path(folder).iterdir()),
        "bytes": sum(path.stat().st_size for path in parts),
        "least": 4 * (kept + free) + places // 8,
    }
