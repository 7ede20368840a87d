"""The model card of a ticket's folder: its figures, its data, its limits, and how to load it."""

from __future__ import annotations

import inspect

from lottery.data import title
from lottery.pruning.arms import ARMS
from lottery.report.markdown import literal
from lottery.report.words import percent
from lottery.settings import Settings
from lottery.tickets import plain
from lottery.tickets.folder import Contents

CARD = """---
license: mit
tags: [lottery-ticket, pruning, text-classification]
---

# {title}

A text classifier of which training kept {kept:,} of {weights:,} weights ({sparsity} pruned). {made}

- Test accuracy {accuracy}; {dense}.{again}
- Classes: {classes}.
- Seed {seed}; run `{run}`; every setting and figure is in `record.json`.

## Data

{corpus}: {train:,} texts to train on, {valid:,} to choose on, {test:,} to test. The texts are
their authors'; none is in this folder. `tokenizer.json` has the {words:,} most frequent {how}.

## Limits

{kind} of one collection, lower-cased {how} and no more. Other texts may be answered with
confidence and wrongly. The network was made to study pruning, not to decide about people.

## What lies here

- `model.safetensors`: the values that the mask keeps, in the order of their places.
- `mask.safetensors`: for each tensor its places, eight a byte, 1 where a weight is kept.
{more}- `tokenizer.json`: for the library `tokenizers`; a text without a word is one `<unk>`, id 1.
- `config.json`: sizes, classes, and the SHA-256 of each file.

## Load it

With this project: `lottery.Ticket.load(folder).predict(["What a film!"])`. Without it, with
`torch`, `safetensors` and `tokenizers`{unpacked}:

```python
{code}

def answer(folder, texts):  # logits; of two classes one, the second's
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{{folder}}/tokenizer.json")
    ids = [torch.tensor(found.ids or [1]) for found in tokenizer.encode_batch(texts)]
    lengths = torch.tensor([len(some) for some in ids])
    with torch.no_grad():
        return load(folder)(nn.utils.rnn.pad_sequence(ids, batch_first=True), lengths)
```

The code is under the MIT licence.
"""
FOUND = "It was\nfound by iterative magnitude pruning and rewinding (Frankle & Carbin 2019)."
OTHER = "In its\nstudy it is `{arm}`: {means}{score}."
LATE = "pruned, with its values after {step} steps"
SCORE = "; its ladder is pruned by the score `{score}`"
KINDS = {"imdb": "English film reviews", "agnews": "English news in brief"}
WITH_FIRST = "- `first.safetensors`: the values that training began with, likewise.\n"
WITH_INSIDE = (
    "- `inside.safetensors`: the rung that removed each weight of one tensor (0: none), and the "
    "test\n  texts on which the dense network answers otherwise, with its logits.\n"
)
WITH_ONNX = (
    "- `model.onnx`: (ids (texts, longest) padded with 0, lengths) to logits, for other runtimes.\n"
)
SMALL = ", once `xz -dk *.xz` has unpacked the files"


def card(contents: Contents, onnx: bool = False, small: bool = False) -> str:
    """The card as markdown, of a folder with a graph or not, packed or not."""
    s, record = contents.settings, contents.record
    more = [(contents.first is not None, WITH_FIRST), (contents.inside is not None, WITH_INSIDE)]
    return CARD.format(
        **{"again": "", **contents.facts},
        made=_made(s),
        sparsity=percent(record.sparsity),
        accuracy=percent(record.test_accuracy),
        classes=", ".join(map(literal, contents.classes)),
        seed=s.seed,
        run=record.run,
        corpus=title(s.dataset),
        words=len(contents.vocabulary) - 2,
        how=contents.how,
        kind=KINDS.get(s.dataset, "Texts"),
        more="".join(words for there, words in [*more, (onnx, WITH_ONNX)] if there),
        unpacked=SMALL if small else "",
        code=code(s.model),
        **record.data["rows"],
    )


def _made(s: Settings) -> str:
    """How the network was made."""
    if (s.arm, s.score) == ("lt", "magnitude"):
        return FOUND
    late = s.arm == "lt" and s.rewind_step
    means = LATE.format(step=s.rewind_step) if late else ARMS[s.arm].means
    score = SCORE.format(score=s.score) if s.rung else ""
    return OTHER.format(arm=s.arm, means=means, score=score)


def code(model: str) -> str:
    """What of `plain` one model needs."""
    parts = [plain.MODELS[model], plain.unpack, plain.load]
    source = "\n\n".join(inspect.getsource(part) for part in parts)
    source = source.replace('MODELS[config["model"]]', plain.MODELS[model].__name__)
    head = "import json\nfrom pathlib import Path\n\nimport torch\n"
    return f"{head}from safetensors.torch import load_file\nfrom torch import nn\n\n\n{source}"
