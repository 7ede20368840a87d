"""A ticket in the hand: what it answers, its mask, its weights, and the models that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lottery import models
from lottery.data import Corpus, outputs, tokens
from lottery.data.batches import Split, batches, by_length
from lottery.files import UserError, as_path
from lottery.models.base import Model
from lottery.pruning.masks import Mask, counts
from lottery.pruning.tickets import Ticket as Start
from lottery.pruning.tickets import Weights
from lottery.report.words import percent
from lottery.runs.record import Record
from lottery.settings import STARTS, Settings
from lottery.tickets import folder as folders
from lottery.tickets import plain
from lottery.tickets.folder import Contents
from lottery.training.epoch import EVALUATION_BATCH
from lottery.training.interrupts import between_steps, deferred

HEADS = ("line", "label")  # columns of an answer, here and in the shell, that are no class's
FEW = 16  # so few texts are answered at once by PyTorch's layers: our kernels may not be compiled


@dataclass(frozen=True, eq=False)
class Ticket:
    """A tested network as `lottery export` left it; what a run starts from is `pruning.tickets`'.

    >>> ticket = Ticket.load("results/tickets/imdb-cnn")
    >>> ticket.predict(["What a film!"])
    """

    contents: Contents

    @classmethod
    def load(cls, folder: Path | str) -> Ticket:
        """The ticket in a folder; UserError names the file that is not in order."""
        return cls(folders.read(as_path("ticket", folder)))

    @property
    def settings(self) -> Settings:
        return self.contents.settings

    @property
    def record(self) -> Record:
        """The record of the run that trained it."""
        return self.contents.record

    @property
    def classes(self) -> tuple[str, ...]:
        return self.contents.classes

    @property
    def mask(self) -> Mask:
        """bool, True where a weight is kept, shaped like the weights."""
        return self.contents.mask

    @property
    def trained(self) -> Weights:
        """The weights that were tested."""
        return self.contents.trained

    @cached_property
    def first(self) -> Weights:
        """The values that training began with, zero where pruned; drawn anew if not stored."""
        if self.contents.first is not None:
            return self.contents.first
        s = self.settings
        if not begins_with_first(s):
            raise UserError(f"first values of {s.arm} are not θ₀, and this folder lacks them")
        drawn = models.draw(self._built(), s.stream("first weights"))
        return Start(drawn, self.mask).weights

    def model(self, sparse: bool = True) -> Model:
        """This project's fast module; `sparse` lets it leave out what the mask removes."""
        model = self._built()
        model.load_state_dict(self.trained)
        model.wear(self.mask if sparse else None)
        return model.eval()

    def to_torch(self) -> nn.Module:
        """The same of PyTorch's own layers: (ids (B, longest) padded with 0, lengths) to logits."""
        size = {name: getattr(self.settings, name) for name in folders.SIZES}
        size |= {"words": len(self.contents.vocabulary), "outputs": self._outputs}
        model = plain.MODELS[self.settings.model](size)
        model.load_state_dict(self.trained)
        return model.eval()

    def encode(self, texts: Sequence[str]) -> Split:
        """Texts as ids; the labels are zeros. A text without a word is one `<unk>`."""
        found = tokens.encode(texts, tokens.SPLITTERS[self.contents.how])
        ids = tokens.renumber(found.words, self.contents.vocabulary)[found.ids]
        split = Split(ids, found.offsets, np.zeros(len(texts), np.int64))
        return split.cut(self.settings.max_tokens)

    @torch.no_grad()
    def logits(self, split: Split) -> Tensor:
        """Logits (N, outputs) of encoded texts, in their order."""
        model, order = self._fast, by_length(split)
        out = torch.empty(len(split), self._outputs)
        found = []
        with deferred():
            for batch in batches(split, EVALUATION_BATCH, order):
                found.append(model(batch))
                between_steps()
        out[torch.from_numpy(order)] = torch.cat(found)
        return out

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """(N, classes) for these texts; NaN for one without a word, which says nothing."""
        if not len(texts):
            return np.zeros((0, len(self.classes)), np.float32)
        split = self.encode(texts)
        found = probabilities(self._plainly(split) if len(split) <= FEW else self.logits(split))
        divide = tokens.SPLITTERS[self.contents.how]
        for row in np.flatnonzero(split.lengths == 1):
            if not divide(texts[row]):
                found[row] = np.nan
        return found

    def predict(self, texts: Iterable[str]) -> pd.DataFrame:
        """One row a text: `label`, the likeliest class, and the probability of every class.

        A text without a word, a blank one say, has the label None, and NaN for probabilities.
        A class's column has its name; of one called `label` or `line` it is `p(label)`, `p(line)`.
        """
        if isinstance(texts, str):
            raise UserError("predict takes a list of texts: write [text]")
        if isinstance(texts, (pd.DataFrame, Mapping)):
            raise UserError("predict takes texts, not a table: give one column, table['text']")
        texts = list(texts) if isinstance(texts, Iterable) else [texts]
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise UserError(f"text {number} is {type(text).__name__} and no text; leave it out")
            if not tokens.is_unicode(text):
                raise UserError(f"text {number} is not valid Unicode ({text[:20]!a}); mend it")
        chances = self.probabilities(texts)
        labels = [None if np.isnan(own[0]) else self.classes[own.argmax()] for own in chances]
        names = columns(self.classes)
        return pd.DataFrame({"label": labels} | dict(zip(names, chances.T, strict=True)))

    def report(self) -> str:
        """In a few lines: what was pruned, what it scores, beside its dense network."""
        kept = {name: percent(1 - gone / of) for name, (gone, of) in counts(self.mask).items()}
        facts = self.contents.facts
        lines = [
            f"{facts['title']}: {facts['kept']:,} of {facts['weights']:,} weights "
            f"({percent(self.record.sparsity)} pruned)",
            f"test accuracy {percent(self.record.test_accuracy)}; {facts['dense']}",
            "kept: " + ", ".join(f"{name} {share}" for name, share in kept.items()),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.report()

    @torch.no_grad()
    def _plainly(self, split: Split) -> Tensor:
        ids, lengths = padded(split)
        return self._plain(ids, lengths)

    @property
    def _outputs(self) -> int:
        return outputs(len(self.classes))

    @cached_property
    def _fast(self) -> Model:
        return self.model()

    @cached_property
    def _plain(self) -> nn.Module:
        return self.to_torch()

    def _built(self) -> Model:
        return models.build(self.settings, len(self.contents.vocabulary), self._outputs)


def begins_with_first(settings: Settings) -> bool:
    """Did a run's training begin with θ₀, where its mask keeps it?"""
    return not settings.rewind_step and STARTS.get(settings.arm, "first") == "first"


def is_own(ticket: Ticket, corpus: Corpus) -> bool:
    """Was the ticket trained on this corpus?"""
    return corpus.fingerprint == ticket.record.data["fingerprint"]


def columns(classes: Sequence[str]) -> list[str]:
    """The column of each class's probability: its name, in p() where that is the answer's own."""
    names = []
    for name in classes:
        if name in HEADS:
            while name in (*HEADS, *classes):
                name = f"p({name})"
        names.append(name)
    return names


def probabilities(logits: Tensor) -> np.ndarray:
    """(N, classes); of one logit two classes."""
    if logits.shape[1] == 1:
        likely = logits.sigmoid()
        return torch.cat([1 - likely, likely], 1).numpy()
    return logits.softmax(1).numpy()


def padded(split: Split) -> tuple[Tensor, Tensor]:
    """Texts as `to_torch` reads them: ids (B, longest), 0 after a text's end, and lengths (B,)."""
    rows = np.split(split.tokens.astype(np.int64), split.offsets[1:-1])
    ids = nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)
    return ids, torch.from_numpy(split.lengths)
