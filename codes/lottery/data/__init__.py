"""Text to token ids: `load` a corpus by its name or a frame's, `describe` it to a person.

What stands here may be used elsewhere; a text goes sources, tokens, split, ids, cache, batches.
"""

from lottery.data.batches import Split
from lottery.data.corpus import Corpus, known, load, name_of, reopen, texts_of, title
from lottery.data.description import describe
from lottery.data.own import Own, from_file, from_frame
from lottery.data.sources import DATASETS, Dataset, outputs

__all__ = [
    "DATASETS",
    "Corpus",
    "Dataset",
    "Own",
    "Split",
    "describe",
    "from_file",
    "from_frame",
    "known",
    "load",
    "name_of",
    "outputs",
    "reopen",
    "texts_of",
    "title",
]
