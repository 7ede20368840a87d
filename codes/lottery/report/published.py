"""What others report, as they report it. Nothing here was measured by this project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One finding, where it stands, and how its protocol differs from ours."""

    source: str
    networks: str
    finding: str
    protocol: str


PUBLISHED = (
    Published(
        "Frankle & Carbin 2019 (arXiv 1803.03635), abstract",
        "fully connected and convolutional, MNIST and CIFAR-10",
        "winning tickets of less than 10–20 % of the size; above it they learn faster than dense "
        "and reach a higher accuracy",
        "images; other networks, smaller steps a round than halving",
    ),
    Published(
        "Desai, Zhan & Aly 2019 (arXiv 1910.12708), section 5.2",
        "CNN with filters of 3, 4 and 5, Amazon reviews of five kinds",
        "tickets beat dense at up to 90 % sparsity for three kinds of the five; random init is as "
        "good as the ticket until about 96 %, and falls off beyond",
        "nearest to ours: Adam at 1e-3, layer by layer with the embedding, five repeats; but "
        "8,000 subwords, 20,000 texts of a kind, 35 % a round for 20 rounds, other initialisation",
    ),
    Published(
        "Yu et al. 2020 (arXiv 1906.02768), section 4.1.1",
        "LSTM of two layers, language model of Wikitext-2",
        "90 % of the weights removed without a noticeable rise of the log perplexity; better than "
        "random tickets at every sparsity; late rewinding helps a little, iterative pruning much",
        "a language model, so no accuracy; global pruning, biases too, 20 % a round; rewound to "
        "the end of the first epoch",
    ),
    Published(
        "Yu et al. 2020 (arXiv 1906.02768), section 4.1.2",
        "Transformer, translation WMT'14 English to German",
        "Big: 28.9 BLEU with 67 % of the weights removed, 29.2 before. Base: random tickets fall "
        "off much faster if the embedding is left whole",
        "translation, so no accuracy; global pruning, late rewinding",
    ),
    Published(
        "Ma et al. 2021 (arXiv 2107.00166), section 3.1",
        "ResNets, VGG-16 and MobileNet-v1, CIFAR-10 to ImageNet",
        "no clear jackpot ticket under the strict conditions; secondary prizes for most networks "
        "on small datasets",
        "images; several learning rates each, of which the best counts; 160 epochs on CIFAR",
    ),
)

# dataset, model: best train loss, its accuracy, test loss, accuracy; as that report printed them.
EARLIER = {
    ("imdb", "cnn"): ("0.062", "97.82 %", "0.273", "88.88 %"),
    ("imdb", "lstm"): ("0.209", "91.82 %", "0.245", "90.54 %"),
    ("agnews", "cnn"): ("0.082", "97.24 %", "0.310", "89.52 %"),
    ("agnews", "lstm"): ("0.206", "92.82 %", "0.263", "91.17 %"),
}


@dataclass(frozen=True)
class Claim:
    """A ticket's test accuracy, at the share of weights removed that its authors found best."""

    accuracy: str
    sparsity: float
    protocol: str = "one trial; level picked on the test set; 20 % a round"


# What the same authors claimed last.
_VECTORS = f"{Claim.protocol}; pretrained GloVe vectors"
CLAIMED = {
    ("imdb", "cnn"): Claim("87.55 %", 0.36),
    ("imdb", "lstm"): Claim("90.24 %", 0.866, _VECTORS),
    ("agnews", "cnn"): Claim("89.56 %", 0.893),
    ("agnews", "lstm"): Claim("91.89 %", 0.488, _VECTORS),
}
