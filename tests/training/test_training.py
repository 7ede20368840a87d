"""One training: what is read, what is averaged, what stays zero, what stays untouched."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn

from helpers.corpora import make_corpus
from lottery import models
from lottery.data.batches import Split, batches
from lottery.files import UserError
from lottery.pruning import masks
from lottery.pruning.arms import ARMS, Origins
from lottery.pruning.tickets import Ticket
from lottery.settings import Settings
from lottery.training import epoch as epochs
from lottery.training import train as training
from lottery.training.adam import Adam
from lottery.training.device import use
from lottery.training.epoch import Progress, criterion, hits, train_epoch

SMALL = {"embedding_size": 8, "filters": 6, "hidden": 8, "epochs": 3, "batch_size": 32}
BOTH = pytest.mark.parametrize("name", ["cnn", "lstm"])


def small(name: str, **more) -> Settings:
    return Settings("demo-reviews", name, **(SMALL | more)).checked()


def built(settings: Settings, words: int = 60, outputs: int = 1, seed: int = 0):
    model = models.build(settings, words, outputs)
    first = models.draw(model, seed)
    model.load_state_dict(first)
    return model, first


def half(first, seed=1):
    generator = torch.Generator().manual_seed(seed)
    scores = {n: torch.rand(w.shape, generator=generator) for n, w in first.items()}
    return masks.prune(scores, masks.full_mask(first), (0.5,))


@BOTH
def test_first_weights_survive_training_untouched(name, corpus):
    settings = small(name)
    model, first = built(settings)
    kept = {n: w.clone() for n, w in first.items()}
    ticket = ARMS["lt"].make(Origins(first, half(first), rewound=first))
    start = {n: w.clone() for n, w in ticket.weights.items()}
    outcome = training.train(model, ticket, corpus, settings)
    for n in first:
        assert torch.equal(first[n], kept[n]), "θ₀ is cloned, never aliased"
        assert torch.equal(ticket.weights[n], start[n]), "a ticket can be trained again"
    assert any(not torch.equal(outcome.weights[n], start[n]) for n in first)


@BOTH
def test_pruned_weights_and_moments_are_exactly_zero(name, corpus):
    settings = small(name)
    model, first = built(settings)
    mask = half(first)
    ticket = ARMS["lt"].make(Origins(first, mask, rewound=first))
    model.load_state_dict(ticket.weights)
    adam = Adam(dict(model.named_parameters()), mask, 1e-2)
    for epoch in (1, 2):
        train_epoch(model, adam, corpus.train, settings, epoch, Progress())
    for n, weight in model.named_parameters():
        if n in mask:
            assert (weight[~mask[n]] == 0).all()
            assert (weight[mask[n]] != 0).float().mean() > 0.9, "kept weights live"
    state = adam.state()
    for n, part in mask.items():
        for moment in (state[f"{n}.first"], state[f"{n}.second"]):
            assert (moment[~part] == 0).all()
            assert (moment[part] != 0).any()
    outcome = training.train(model, ticket, corpus, settings)
    assert all((outcome.weights[n][~part] == 0).all() for n, part in mask.items())


@BOTH
def test_the_same_seed_gives_the_same_outcome_to_the_bit(name, corpus):
    settings = small(name, word_dropout=0.2)
    outcomes = []
    for threads in (2, 2, 1):
        use("cpu", threads)
        model, first = built(settings)
        outcomes.append(training.train(model, Ticket(first), corpus, settings))
    for other in outcomes[1:]:
        assert all(torch.equal(outcomes[0].weights[n], w) for n, w in other.weights.items())
        assert (outcomes[0].said == other.said).all()
        assert outcomes[0].test_loss == other.test_loss
        for a, b in zip(outcomes[0].history, other.history, strict=True):
            assert replace(a, seconds=0) == replace(b, seconds=0)


def orders(settings, corpus, monkeypatch) -> list[list[int]]:
    """The rows in the order of each epoch's batches."""
    seen = []

    def watched(split, size, order, device):
        seen.append(order.tolist())
        return batches(split, size, order, device)

    monkeypatch.setattr(epochs, "batches", watched)
    model, _ = built(settings)
    adam = Adam(dict(model.named_parameters()), None, 1e-3)
    for epoch in (1, 2):
        train_epoch(model, adam, corpus.train, settings, epoch, Progress())
    return seen


def test_the_order_is_the_seeds_and_the_epochs_and_every_arms(corpus, monkeypatch):
    settings = small("cnn")
    first, second = orders(settings, corpus, monkeypatch)
    straight = list(range(len(corpus.train)))
    assert sorted(first) == sorted(second) == straight
    assert first != straight != second != first
    assert orders(replace(settings, seed=1), corpus, monkeypatch)[0] != first
    for arm in ARMS:
        of_arm = replace(settings, arm=arm, ladder=(0.5,) if arm != "dense" else ())
        assert orders(of_arm, corpus, monkeypatch) == [first, second]


@BOTH
def test_dropout_is_the_seeds_and_the_epochs(name, corpus):
    """In one and the same batch, so that the order has no part in it."""
    settings = small(name, dropout=0.5)
    one = corpus.train.take(np.arange(20))

    def loss(settings, epoch):
        model, _ = built(settings)
        adam = Adam(dict(model.named_parameters()), None, 1e-30)
        return train_epoch(model, adam, one, settings, epoch, Progress())[0]

    whole = loss(replace(settings, dropout=0.0), 1)
    assert loss(replace(settings, dropout=0.0, seed=1), 2) == pytest.approx(whole, rel=1e-5)
    drawn = {loss(settings, 1), loss(settings, 2), loss(replace(settings, seed=1), 1)}
    assert len(drawn) == 3 and all(abs(one - whole) > 1e-3 for one in drawn)


@BOTH
def test_words_and_pooled_features_are_dropped_at_their_own_rates(name, corpus, monkeypatch):
    module, seen = sys.modules[f"lottery.models.{name}"], []
    vectors = module.word_vectors

    def words(embedding, batch, rate, noise):
        seen.append(("words", rate, noise, len(batch.words)))
        return vectors(embedding, batch, 0, None)

    def features(values, rate, noise):
        seen.append(("features", rate, noise, len(values)))
        return values

    monkeypatch.setattr(module, "word_vectors", words)
    monkeypatch.setattr(module, "drop", features)
    model, _ = built(small(name, dropout=0.1, word_dropout=0.4))
    batch, noise = next(batches(corpus.train, 9)), torch.Generator()
    model(batch, noise)
    assert seen == [("words", 0.4, noise, len(batch.words)), ("features", 0.1, noise, 9)]


@BOTH
def test_a_padded_position_never_changes_a_logit(name, corpus):
    """Each text alone, and among texts of other lengths, gives the same logits."""
    settings = small(name)
    model, _ = built(settings)
    model.eval()
    with torch.no_grad():
        together = torch.cat([model(b) for b in batches(corpus.test, 100)])
        alone = torch.cat([model(b) for b in batches(corpus.test, 1)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-7)


@BOTH
def test_kernels_and_pytorchs_layers_are_one_model(name, corpus):
    """PyTorch's own layers, padded or packed, compute what the kernels compute."""
    from lottery.kernels.convolution import conv_max_layers
    from lottery.models.lstm import lstm_pooled_layers

    for pooling in ("max", "mean", "last"):
        model, _ = built(small(name, pooling=pooling))
        model.eval()
        batch = next(batches(corpus.test, 50))
        ours = model(batch)
        table = model.embedding.weight[batch.words]
        if name == "cnn":
            weights = [c.weight for c in model.convolutions]
            biases = [c.bias for c in model.convolutions]
            pooled = conv_max_layers(table, batch.index, batch.offsets, weights, biases)
        else:
            pooled = lstm_pooled_layers(table, batch.index, batch.offsets, model.lstm, pooling)
        torch.testing.assert_close(ours, model.output(pooled), rtol=1e-5, atol=1e-6)


def test_means_are_over_examples_never_over_batches(corpus):
    """300 texts in batches of 256: the mean of two batch means would weigh 44 texts like 256."""
    test = corpus.test.take(np.arange(300) % len(corpus.test))
    model, _ = built(small("cnn"))
    loss, accuracy, said = training.evaluate(model, test)
    with torch.no_grad():
        logits = torch.cat([model(b) for b in batches(test, 1)])[:, 0].double()
    labels = torch.from_numpy(test.labels).double()
    each = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    assert loss == pytest.approx(float(each.mean()), rel=1e-6)
    assert accuracy == ((logits > 0) == labels).double().mean()
    assert (said == (logits > 0).numpy()).all(), "in the order of the corpus"


def test_training_means_are_over_examples(corpus):
    """Without dropout and with a learning rate of almost nothing the epoch's mean is known."""
    settings = small("cnn", dropout=0.0, learning_rate=1e-30, batch_size=150)
    model, _ = built(settings)  # 200 rows: batches of 150 and 50
    adam = Adam(dict(model.named_parameters()), None, 1e-30)
    loss, accuracy = train_epoch(model, adam, corpus.train, settings, 1, Progress())
    wanted, share, _ = training.evaluate(model, corpus.train)
    assert loss == pytest.approx(wanted, rel=1e-6)
    assert accuracy == share


def test_the_test_set_is_read_once_with_the_weights_of_the_best_epoch(corpus, monkeypatch):
    settings = small("cnn", epochs=8, learning_rate=0.05)
    noisy = corpus.valid.labels.copy()
    noisy[::4] = 1 - noisy[::4]  # growing sure of them costs ever more
    corpus = replace(corpus, valid=Split(corpus.valid.tokens, corpus.valid.offsets, noisy))
    model, first = built(settings)
    seen, evaluate = [], training.evaluate

    def watched(model, split):
        seen.append((split is corpus.test, training.copied(model)))
        return evaluate(model, split)

    monkeypatch.setattr(training, "evaluate", watched)
    outcome = training.train(model, Ticket(first), corpus, settings)
    losses = [epoch.valid_loss for epoch in outcome.history]
    assert outcome.best_epoch == losses.index(min(losses)) + 1 < 8, (
        "overfits, so it is not the last"
    )
    assert [is_test for is_test, _ in seen] == [False] * 8 + [True]
    best, tested = seen[outcome.best_epoch - 1][1], seen[-1][1]
    assert all(torch.equal(best[n], tested[n]) for n in best)
    assert any(not torch.equal(outcome.weights[n], tested[n]) for n in best), "the last ones"
    assert all(torch.equal(best[n], outcome.best[n]) for n in best)


def test_the_first_epoch_of_lowest_validation_loss_is_chosen(corpus, monkeypatch):
    """Not the one of best accuracy, and of two with the same loss not the later."""
    rows = [(0.5, 0.9), (0.3, 0.6), (0.3, 0.7), (0.4, 0.95), (0.2, 0.5)]  # the last: the test
    weights = []

    def evaluate(model, split):
        weights.append(training.copied(model))
        return *rows[len(weights) - 1], np.zeros(len(split), np.int64)

    monkeypatch.setattr(training, "evaluate", evaluate)
    settings = small("cnn", epochs=4)
    model, first = built(settings)
    outcome = training.train(model, Ticket(first), corpus, settings)
    assert outcome.best_epoch == 2
    assert all(torch.equal(outcome.best[n], weights[1][n]) for n in first)
    assert all(torch.equal(weights[-1][n], weights[1][n]) for n in first), "what is tested"


def test_the_protocol_is_adam_at_its_rate_and_batch(corpus, monkeypatch):
    made = []
    monkeypatch.setattr(training, "Adam", lambda *a, **k: made.append((a, k)) or Adam(*a, **k))
    model, first = built(small("cnn"))
    training.train(model, Ticket(first), corpus, small("cnn"))
    falling = small("cnn", weight_decay=1e-4, schedule="linear")
    training.train(model, Ticket(first), corpus, falling)
    assert made[0][0][2] == 1e-3 == Settings("imdb", "cnn").learning_rate
    assert made[0][1] == {"weight_decay": 0.0, "steps": 0}
    steps = falling.epochs * -(-len(corpus.train) // falling.batch_size)
    assert made[1][1] == {"weight_decay": 1e-4, "steps": steps}
    full = Settings("imdb", "cnn")
    assert (full.batch_size, full.epochs, full.dropout) == (64, 10, 0.5)


def test_losses_by_hand():
    logits, labels = torch.tensor([[0.0], [2.0]]), torch.tensor([1, 0])
    wanted = (np.log(2) + np.log1p(np.exp(2))) / 2
    assert float(criterion(logits, labels)) == pytest.approx(wanted, rel=1e-6)
    assert hits(logits, labels).tolist() == [False, False]
    four = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 3]])
    wanted = (np.log(np.e + 3) - 1 + np.log(np.exp(3) + 3)) / 2
    assert float(criterion(four, torch.tensor([0, 1]))) == pytest.approx(wanted, rel=1e-6)
    assert hits(four, torch.tensor([0, 1])).tolist() == [True, False]


@pytest.mark.parametrize("classes", [2, 4])
@BOTH
def test_models_learn(name, classes):
    corpus = make_corpus(classes, rows=400)
    settings = small(name, epochs=12, learning_rate=1e-2)
    model, first = built(settings, outputs=1 if classes == 2 else 4)
    outcome = training.train(model, Ticket(first), corpus, settings)
    assert outcome.test_accuracy > 0.75
    assert outcome.history[-1].train_loss < outcome.history[0].train_loss / 2


@pytest.mark.parametrize("how", [{}, {"weight_decay": 1e-2, "schedule": "linear"}])
def test_advance_is_the_dense_run_stopped_early(corpus, monkeypatch, how):
    settings = small("cnn", batch_size=64, **how)  # 4 steps an epoch
    model, first = built(settings)
    early = training.advance(model, first, corpus, settings, 4)
    seen, evaluate = [], training.evaluate
    watched = lambda model, split: seen.append(training.copied(model)) or evaluate(model, split)  # noqa: E731
    monkeypatch.setattr(training, "evaluate", watched)
    training.train(model, Ticket(first), corpus, settings)
    assert all(torch.equal(early[n], seen[0][n]) for n in first)
    later = training.advance(model, first, corpus, settings, 5)
    assert any(not torch.equal(early[n], later[n]) for n in first)
    none = training.advance(model, first, corpus, settings, 0)
    assert all(torch.equal(none[n], first[n]) for n in first)


def test_a_loss_that_is_not_finite_is_noticed(corpus):
    settings = small("cnn", learning_rate=1e-3)
    model, first = built(settings)
    first["output.bias"] += float("inf")
    with pytest.raises(training.Diverged):
        training.train(model, Ticket(first), corpus, settings)


def test_a_test_loss_that_is_not_finite_is_noticed_and_the_epochs_are_told(corpus, monkeypatch):
    of = {id(corpus.valid): (0.3, 0.4), id(corpus.test): (float("nan"), 0.6)}

    def evaluate(model, split):
        return *of[id(split)], np.zeros(len(split), np.int64)

    monkeypatch.setattr(training, "evaluate", evaluate)
    model, first = built(small("cnn"))
    with pytest.raises(training.Diverged, match="is nan on the test set") as found:
        training.train(model, Ticket(first), corpus, small("cnn"))
    assert len(found.value.history) == small("cnn").epochs


@pytest.mark.parametrize("passed", [(0.1, 0.2), (float("inf"), 0.2)])
def test_an_epoch_has_the_figures_of_its_two_passes_and_the_test_its_own(
    corpus, monkeypatch, passed
):
    """A loss of training that is no number stops the run, though validation's is one."""
    of = {id(corpus.valid): (0.3, 0.4), id(corpus.test): (0.5, 0.6)}

    def evaluate(model, split):
        return *of[id(split)], np.zeros(len(split), np.int64)

    monkeypatch.setattr(training, "train_epoch", lambda *_: passed)
    monkeypatch.setattr(training, "evaluate", evaluate)
    model, first = built(small("cnn"))
    if not np.isfinite(passed[0]):
        with pytest.raises(training.Diverged, match=r"is inf in training, 0\.3 in"):
            training.train(model, Ticket(first), corpus, small("cnn"))
        return
    outcome = training.train(model, Ticket(first), corpus, small("cnn"))
    for one in outcome.history:
        found = one.train_loss, one.train_accuracy, one.valid_loss, one.valid_accuracy
        assert found == (0.1, 0.2, 0.3, 0.4)
    assert (outcome.test_loss, outcome.test_accuracy) == (0.5, 0.6)


def test_a_run_takes_the_seconds_of_its_epochs_and_of_its_test(corpus, monkeypatch):
    """Of the epochs before it was stopped, too: they come back with its state."""
    clock = count()
    monkeypatch.setattr(training.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(training, "train_epoch", lambda *_: (0.1, 0.2))
    monkeypatch.setattr(training, "evaluate", lambda model, split: (0.3, 0.4, split.labels))
    model, first = built(small("cnn"))
    outcome = training.train(model, Ticket(first), corpus, small("cnn"))
    assert [one.seconds for one in outcome.history] == [1, 1, 1]
    assert outcome.seconds == 4


def test_an_absent_device_is_one_clear_line():
    for device in ("cuda:99", "cuda", "mps", "warp"):
        if device == "cuda" and torch.cuda.is_available():
            continue
        with pytest.raises(UserError, match=f"device '{device}' is not here"):
            use(device)


def test_a_gpu_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(use(d)) for d in (None, "cuda:1", "cpu")] == ["cuda", "cuda:1", "cpu"]
    with pytest.raises(UserError, match="device 'cuda:2' is not here"):
        use("cuda:2")


def test_a_gpu_rounds_no_factor_to_ten_bits():
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    use("cpu")
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


def test_one_text_and_an_odd_last_batch(corpus):
    one = corpus.train.take(np.array([3]))
    assert isinstance(one, Split)
    model, first = built(small("lstm"))
    tiny = replace(corpus, train=one)
    outcome = training.train(model, Ticket(first), tiny, small("lstm", epochs=1))
    assert np.isfinite(outcome.test_loss)


def test_evaluation_stores_nothing_for_a_backward_pass(corpus, monkeypatch):
    """Parameters require a gradient even where none is asked for; stored gates took 0.8 GB."""
    from lottery.kernels import convolution, recurrence

    stored, bases, respond = [], recurrence._bases, convolution._respond
    monkeypatch.setattr(recurrence, "_bases", lambda *a: stored.append(a[3]) or bases(*a))
    monkeypatch.setattr(
        convolution, "_respond", lambda *a: stored.append(len(a[-1]) > 0) or respond(*a)
    )
    for name in ("lstm", "cnn"):
        model, _ = built(small(name))
        stored.clear()
        training.evaluate(model, corpus.test)
        assert stored == [False]
        model(next(batches(corpus.test, 8)))
        assert stored == [False, True]


def test_order_and_dropout_are_streams_of_their_own(monkeypatch):
    settings = Settings("demo-reviews", "cnn", embedding_size=8, filters=6, seed=3).checked()
    seen, corpus = [], make_corpus()
    monkeypatch.setattr(epochs, "_stream", lambda device, seed: seen.append(seed) or nullcontext())
    model = models.build(settings, 60, 1)
    model.load_state_dict(models.draw(model, 0))
    train_epoch(model, Adam(dict(model.named_parameters()), None, 1e-3), corpus.train, settings, 2,
                Progress())  # fmt: skip
    assert seen == [settings.stream("dropout", 2)]
