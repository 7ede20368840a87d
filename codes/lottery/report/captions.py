"""A picture with its heading and caption, as blocks of a page."""

from __future__ import annotations

from lottery.data import title

Links = dict[tuple[str, str], str]  # of dataset (empty: of all) and kind of picture
# Of each picture: its heading, what stands in its place for who cannot see it, and its caption.
PICTURES = {
    "sparsity": (
        "Sparsity curve",
        "test accuracy over weights remaining",
        "Means over the seeds, dots are single seeds, bars 95 % intervals over seeds and test "
        "examples, of a single seed over the examples alone. The band holds what is no further "
        "from dense than the margin. Arms share seeds and examples, so that bars may overlap where "
        "the paired difference is sure. The axis holds dense and both inits; other arms may leave "
        "it below, and stand in the table.",
    ),
    "decay": (
        "Both recipes",
        "test accuracy with and without weight decay",
        "Dense networks and tickets by both recipes: means over the seeds, dots are single seeds, "
        "bars 95 % intervals over seeds and test examples.",
    ),
    "words": (
        "Which words are kept",
        "share of a word's row kept over its occurrences",
        "Words by how often they occur in the training texts, means over the seeds: what tickets "
        "keep of their rows, and what training alone brought to nothing in the dense network.",
    ),
    "densities": (
        "What each layer keeps",
        "share of each layer remaining over weights remaining",
        "Means over the seeds, of global pruning. Layers that keep the same are one line.",
    ),
    "forest": (
        "Tickets less dense",
        "tickets less dense at every rung, with intervals",
        "Test accuracy of each ticket less its dense network's, with 95 % intervals over seeds and "
        "test examples, and the margin as a band.",
    ),
    "travel": (
        "Foreign masks beside their controls",
        "foreign masks less own mask, both controls and dense, with intervals",
        "Test accuracy of the foreign mask less that of the network named, with 95 % intervals "
        "over seeds and test examples, and the margin as a band.",
    ),
    "speed": (
        "Accuracy over milliseconds",
        "test accuracy over the milliseconds of an answer",
        "Of the networks in the table, for one text; bars are 95 % intervals over test examples.",
    ),
}


def picture(dataset: str, kind: str, pictures: Links) -> list[str]:
    """A picture with its heading and caption; nothing if it was not drawn."""
    if (dataset, kind) not in pictures:
        return []
    heading, shown, caption = PICTURES[kind]
    of = f"{title(dataset)}: " if dataset else ""
    return [f"### {heading}", f"![{of}{shown}]({pictures[dataset, kind]})", caption]
