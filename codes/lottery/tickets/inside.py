"""What is in a ticket: its rungs, its layers, its words, and what moved an answer, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from lottery import models
from lottery.analysis.verdict import pair_name
from lottery.data import Corpus, Split
from lottery.files import UserError
from lottery.pruning.masks import EMBEDDING, counts, prunable
from lottery.pruning.tickets import Weights
from lottery.settings import Settings
from lottery.tickets.ticket import Ticket, is_own, padded, probabilities

ROWS = 128  # of the tensor whose rungs are kept: all filters, or one gate of 128 units
WORDS, WINDOWS = 40, 3  # of a text in a table


def shown(settings: Settings) -> str:
    """The tensor whose masks are shown at several rungs: the widest filters, or the gates."""
    if settings.model == "cnn":
        return f"convolutions.{len(settings.widths) - 1}.weight"
    return "lstm.weight_hh_l0"


def removed(masks: Sequence[Tensor]) -> Tensor:
    """uint8, the number of the first mask that removes each weight; 0: none does.

    masks: bool, nested, of the rungs of a ladder from the lowest on.
    """
    gone = torch.zeros(masks[0][:ROWS].shape, dtype=torch.uint8)
    for number, mask in enumerate(masks, start=1):
        gone[(gone == 0) & ~mask[:ROWS]] = number
    return gone


def at_rungs(ticket: Ticket) -> dict[float, Tensor]:
    """By sparsity: bool (rows, ...), what that rung of the ladder keeps of `shown`'s first rows.

    UserError if the folder has no masks of its lower rungs.
    """
    gone = _inside(ticket)[f"rung/{shown(ticket.settings)}"]
    ladder = ticket.settings.ladder
    return {step: (gone == 0) | (gone > rung) for rung, step in enumerate(ladder, start=1)}


def layers(ticket: Ticket) -> pd.DataFrame:
    """One row a layer: its weights, how many are kept, and their share in percent."""
    rows = {
        models.MODELS[ticket.settings.model].layer(ticket.settings, name): (of, of - gone)
        for name, (gone, of) in counts(ticket.mask).items()
    }
    frame = pd.DataFrame.from_dict(rows, "index", columns=["weights", "kept"])
    frame.index.name = "layer"
    return frame.assign(percent=(100 * frame["kept"] / frame["weights"]).round(2))


def words(ticket: Ticket, corpus: Corpus | None = None) -> pd.DataFrame:
    """One row a word, the commonest first: rank, and what is kept of its row, in percent.

    With its own `corpus` also how often the word occurs in the training texts.
    """
    kept = prunable(ticket.mask)[EMBEDDING].float().mean(1).numpy()
    ranks = np.arange(1, len(kept))  # <unk> is many words and has no rank
    frame = pd.DataFrame(
        {"word": ticket.contents.vocabulary[2:], "rank": ranks, "kept": 100 * kept[1:]}
    )
    if corpus is None or not is_own(ticket, corpus):
        return frame
    often = np.bincount(corpus.train.tokens, minlength=len(kept) + 1)[2:]
    return frame.assign(occurs=often)


def missing(ticket: Ticket, corpus: Corpus | None = None) -> str:
    """Why its rungs, or with a `corpus` its disagreements, cannot be shown; empty if they can."""
    s = ticket.settings
    if ticket.contents.inside is None:
        who = pair_name(*s.pair)
        return f"the ticket of {who} was exported without this: export it with `--inside`"
    if corpus is not None and not is_own(ticket, corpus):
        return f"these are test texts of {s.dataset}, and this is {corpus.dataset}"
    return ""


# --- answers ----------------------------------------------------------------------------------


def differ(ours: Tensor, theirs: Tensor) -> Weights:
    """The rows, int32, on which two networks name different classes, and `theirs` logits there."""
    names = [probabilities(logits).argmax(1) for logits in (ours, theirs)]
    rows = torch.from_numpy(np.flatnonzero(names[0] != names[1]).astype(np.int32))
    return {"dense/rows": rows, "dense/logits": theirs[rows.long()].clone()}


def disagreements(ticket: Ticket, corpus: Corpus, most: int = 10) -> pd.DataFrame:
    """Test texts of which ticket and dense network name different classes, the surest first.

    A row has the text's class, each network's answer with its probability, the windows that moved
    a CNN's ticket most, and the words that the text begins with.
    UserError if the corpus is not the ticket's own, or the folder lacks the dense network's.
    """
    kept = _inside(ticket, corpus)
    rows = kept["dense/rows"].numpy()
    if not len(rows) or not most:
        moved_by = ["moved by"] * (ticket.settings.model == "cnn")
        names = ["row", "class", "ticket", "dense", *moved_by, "text"]
        return pd.DataFrame(columns=names).set_index("row")
    split = corpus.test.take(rows)
    ours = probabilities(ticket.logits(split.cut(ticket.settings.max_tokens)))
    theirs = probabilities(kept["dense/logits"])
    order = np.argsort(-np.minimum(ours.max(1), theirs.max(1)), kind="stable")[:most]
    found = []
    for i in order:
        ids = split.tokens[split.offsets[i] : split.offsets[i + 1]]
        row = {
            "row": rows[i],
            "class": ticket.classes[split.labels[i]],
            "ticket": _said(ticket, ours[i]),
            "dense": _said(ticket, theirs[i]),
        }
        if ticket.settings.model == "cnn":
            windows = moved(ticket, ids).windows
            row["moved by"] = "; ".join(windows["words"][:WINDOWS])
        text = " ".join(corpus.vocabulary[word] for word in ids[:WORDS])
        found.append(row | {"text": text + " …" * (len(ids) > WORDS)})
    return pd.DataFrame(found).set_index("row")


def _said(ticket: Ticket, chances: np.ndarray) -> str:
    return f"{ticket.classes[int(chances.argmax())]} {100 * chances.max():.0f} %"


@dataclass(frozen=True)
class Moved:
    """What a CNN's answer to a text is made of."""

    name: str  # the class that it names
    logit: float  # that class's, less the mean of all classes'
    rest: float  # of it the output's bias
    windows: pd.DataFrame  # each window that won a filter: words, filters, moves; the rest of it


@torch.no_grad()
def moved(ticket: Ticket, text: str | np.ndarray) -> Moved:
    """The windows of a text (or of its ids) that are some filter's maximum, and what each adds.

    A filter's answer, times its weight in the output, is added to the logit; a window adds what
    its filters add. One logit of two classes is half of it for the second, minus half for the
    first. UserError for an LSTM.
    """
    if ticket.settings.model != "cnn":
        raise UserError("the words that moved an answer are read off a CNN's filters alone")
    split = ticket.encode([text]) if isinstance(text, str) else _alone(ticket, text)
    plain = ticket.to_torch()
    out, bias = plain.output.weight, plain.output.bias
    if len(out) == 1:
        out, bias = torch.cat([-out, out]) / 2, torch.cat([-bias, bias]) / 2
    ids, lengths = padded(split)
    widest = max(ticket.settings.widths)
    table = plain.embedding(functional.pad(ids, (0, max(0, widest - ids.shape[1]))))
    ends, answers, widths = [], [], []
    for convolution in plain.convolutions:
        width = convolution.kernel_size[0]
        there = max(int(lengths) - width, 0) + 1
        best = convolution(table.transpose(1, 2))[0, :, :there].max(1)
        ends.append(best[1])
        answers.append(best[0].relu())
        widths += [width] * len(best[0])
    pooled = torch.cat(answers)
    logits = out @ pooled + bias
    top = int(logits.argmax())
    adds = (pooled * (out[top] - out.mean(0))).numpy()
    said = [ticket.contents.vocabulary[word] for word in split.tokens]
    frame = pd.DataFrame(
        {"start": torch.cat(ends).numpy(), "width": widths, "moves": adds, "filters": 1}
    )
    frame = frame.groupby(["start", "width"], as_index=False).sum()
    frame["words"] = [
        " ".join(said[start : start + width])
        for start, width in zip(frame["start"], frame["width"], strict=True)
    ]
    order = frame["moves"].abs().sort_values(ascending=False, kind="stable").index
    return Moved(
        ticket.classes[top],
        float(logits[top] - logits.mean()),
        float(bias[top] - bias.mean()),
        frame.loc[order, ["words", "filters", "moves"]].reset_index(drop=True),
    )


def _alone(ticket: Ticket, ids: np.ndarray) -> Split:
    ids = ids[: ticket.settings.max_tokens].astype(np.int32)
    return Split(ids, np.array([0, len(ids)]), np.zeros(1, np.int64))


def _inside(ticket: Ticket, corpus: Corpus | None = None) -> Weights:
    if why := missing(ticket, corpus):
        raise UserError(why)
    return ticket.contents.inside
