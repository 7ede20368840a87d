"""What to run: ladder x arms x seeds, each run after those that it stands on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from lottery import data, models
from lottery.files import UserError, check_known, meant, shown
from lottery.models import MODELS
from lottery.plugins.register import named
from lottery.pruning.arms import ARMS, check_arms
from lottery.pruning.masks import check_room, prunable, removed_by_layer
from lottery.pruning.scores import SCORES
from lottery.recipes import RECIPES
from lottery.settings import Settings, check_ladder, settable

# What a person may call a setting that is not one of them.
OTHERWISE = {
    "results": "store='folder'",
    "sparsity": "ladder, a list",
    "sparsities": "ladder",
    "seed": "seeds, a list",
    "model": "models, a list",
    "arm": "arms, a list",
    "lr": "learning_rate",
}
LISTS = {  # an example of each
    "models": ["cnn"],
    "seeds": [0],
    "ladder": [0.5],
    "at": [0.5],
    "arms": ["lt"],
    "widths": [3, 4, 5],
    "kept_dense": ["embedding.weight"],
}


@dataclass(frozen=True)
class Plan:
    """The runs of one dataset: every model, seed, rung and arm asked for, and what they stand on.

    `options` are further fields of `Settings`; where one is missing, the recipe holds. The arms
    are run at the sparsities `at` of the ladder. Made by `planned`, which checks.
    """

    dataset: str
    models: tuple[str, ...]
    ladder: tuple[float, ...]
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    at: tuple[float, ...]
    options: Mapping[str, Any]

    def settings(self, model: str, arm: str, rung: int, seed: int) -> Settings:
        """The settings of one run."""
        options = RECIPES.get((self.dataset, model), {}) | self.options
        made = Settings(self.dataset, model, arm, self.ladder[:rung], seed, **options)
        return named(made.checked())

    def runs(self, arms: Iterable[str] | None = None) -> list[Settings]:
        """The runs of `arms` (default: all), each after those it stands on.

        The dense network is always among them: every comparison starts from it. What stands on
        another dataset's ticket comes after that one and its ladder, which are runs of the other.
        """
        arms = self.arms if arms is None else check_arms(tuple(arms))
        runs: dict[str, Settings] = {}
        for model in self.models:
            for seed in self.seeds:
                chain = [self.settings(model, "dense", 0, seed)]
                for rung, step in enumerate(self.ladder, start=1):
                    chain += [
                        self.settings(model, arm, rung, seed)
                        for arm in sorted(arms, key="lt".__ne__)  # the next rung stands on lt
                        if arm != "dense" and step in self.at
                    ]
                for settings in chain:
                    runs |= {other.run: other for other in abroad(settings)}
                    runs[settings.run] = settings
        return list(runs.values())


def planned(
    dataset: str | data.Own,
    models: Iterable[str],
    ladder: Iterable[float],
    arms: Iterable[str],
    seeds: Iterable[int],
    at: Iterable[float] | None,
    options: Mapping[str, Any],
) -> Plan:
    """The plan that a person asks for; UserError for the first mistake in it.

    A mistake shows now, not after an hour of training.
    """
    outputs = data.known(dataset).outputs
    models, seeds = several("models", models), several("seeds", seeds)
    for name, value in (("models", models), ("seeds", seeds)):
        if not value:
            raise UserError(f"{name} is empty: give at least one")
    for model in models:
        check_known("model", model, MODELS)
    ladder = check_ladder(several("ladder", ladder))
    arms = check_arms(several("arms", arms))
    at = ladder if at is None else several("at", at)
    for step in at:
        if step not in ladder:
            raise UserError(f"sparsity {shown(step)} is not on the ladder {list(ladder)}")
    at = check_ladder(sorted(set(at)))
    known = {field.name: field for field in settable()}
    given = {}
    for name, value in options.items():
        if name not in known:
            other = OTHERWISE.get(name)
            hint = f"; did you mean {other}?" if other else meant(name, known)
            raise UserError(f"unknown setting {name!r}{hint or ': there are ' + ', '.join(known)}")
        if value is not None:
            given[name] = several(name, value) if known[name].type.startswith("tuple") else value
    if given.get("source"):
        check_source(dataset, given["source"], arms)
    plan = Plan(data.name_of(dataset), models, ladder, arms, seeds, at, given)
    for settings in plan.runs():
        own = settings.dataset == plan.dataset
        check(settings, outputs if own else data.known(settings.dataset).outputs)
    return plan


def without_effect(plan: Plan) -> list[str]:
    """A line for each setting that was given, not as it is anyway, and that no run has."""
    given = [f for f in settable() if plan.options.get(f.name, f.default) != f.default]
    owned = [(f.name, of) for f in given if (of := f.metadata["of"])]
    runs = plan.runs() if owned else []
    return [
        f"{name} is of {of.to}: without effect here"
        for name, of in owned
        if not any(of.test(run) for run in runs)
    ]


def check_source(dataset: str | data.Own, source: object, arms: Iterable[str]) -> None:
    """UserError unless a mask can come from `source`, and one of the arms takes it."""
    known = data.DATASETS
    check_known("source", source, known)
    if isinstance(dataset, data.Own):
        raise UserError(
            f"source {source!r}: {dataset.name} is a corpus of your own, and masks travel between "
            f"{', '.join(known)} alone"
        )
    if known[source].generated != known[dataset].generated:
        raise UserError(
            f"source {source!r}: one of it and {dataset!r} is generated, and these are not mixed"
        )
    takes = [name for name in ARMS if ARMS[name].travels]
    if not any(name in takes for name in arms):
        raise UserError(f"source {source!r}: no arm takes its mask; ask for {', '.join(takes)}")


def check(settings: Settings, outputs: int) -> None:
    """UserError if a run has an unknown score, or a mask that would leave nothing to train."""
    check_known("score", settings.score, SCORES)
    free = prunable(shapes(settings, settings.vocabulary_size, outputs))
    sizes = {n: w.numel() for n, w in free.items() if n not in settings.kept_dense}
    for name in settings.kept_dense:
        if name not in free:
            raise UserError(
                f"kept_dense {name!r} is no weight matrix of {settings.model}: there are "
                f"{', '.join(free)}"
            )
    if not sizes:
        raise UserError("kept_dense names every weight matrix: leave one to be pruned")
    if settings.scope == "global":  # how much of each layer goes is not known before
        sizes = {"the network": sum(sizes.values())}
    if settings.ladder:
        check_room(sizes, settings.ladder, settings.output_rate)


def removed(settings: Settings, sizes: Mapping[str, int]) -> dict[str, int] | None:
    """Weights of each tensor that a run's mask removes; None: that depends on its weights."""
    if not settings.ladder:
        return dict.fromkeys(sizes, 0)
    if settings.source or settings.scope == "global":
        return None
    free = {name: size for name, size in sizes.items() if name not in settings.kept_dense}
    gone = removed_by_layer(free, settings.ladder, settings.output_rate)
    return dict.fromkeys(sizes, 0) | gone


def shapes(settings: Settings, words: int, outputs: int) -> dict[str, torch.Tensor]:
    """A model's tensors, without their memory."""
    with torch.device("meta"):
        model = models.build(settings, words, outputs)
    models.check_form(settings.model, model, words)
    return dict(model.named_parameters())


def below(settings: Settings) -> Settings | None:
    """The run whose trained weights give this run's mask, or its ticket; None: it needs none."""
    if not settings.rung or (SCORES[settings.score].of_first and not ARMS[settings.arm].tunes):
        return None
    if settings.rung == 1:
        return replace(settings, arm="dense").checked()
    return replace(settings, arm="lt", ladder=settings.ladder[:-1]).checked()


def foreign(settings: Settings) -> Settings | None:
    """The `lt` run of another dataset whose mask this run takes; None: it takes none.

    Of the same model, ladder and seed, by the other's own recipe; where this run departs from its
    recipe, the other departs from its own in the same way.
    """
    if not settings.source:
        return None
    pair = settings.source, settings.model
    made = RECIPES.get(pair, {}) | departures(settings)
    return named(Settings(*pair, "lt", settings.ladder, settings.seed, **made).checked())


def departures(settings: Settings) -> dict[str, Any]:
    """The options that are not the recipe's, or where there is none not the defaults."""
    told = settings.dataset, settings.model, settings.arm, settings.ladder, settings.seed
    recipe = RECIPES.get(settings.pair, {})
    usual = Settings(*told, source=settings.source, **recipe).checked()
    return {
        f.name: getattr(settings, f.name)
        for f in settable()
        if f.name != "source" and getattr(settings, f.name) != getattr(usual, f.name)
    }


def abroad(settings: Settings) -> list[Settings]:
    """The other dataset's runs that give this run its mask, from the dense network up."""
    found, other = [], foreign(settings)
    while other is not None:
        found.append(other)
        other = below(other)
    return found[::-1]


def needs(settings: Settings) -> list[tuple[Settings, int]]:
    """All that a run stands on: (run, 0) for a trained network, (dense run, k) for its θₖ."""
    found = [(run, 0) for run in (below(settings), foreign(settings)) if run]
    late = [rewinds(run) for run in (settings, foreign(settings)) if run]
    return found + [one for one in late if one]


def rewinds(settings: Settings) -> tuple[Settings, int] | None:
    """The dense run, and how many of its steps, that a late rewinding goes back to.

    What stands on rewound networks is given their θₖ, too: a score or an arm may look at it.
    """
    if not settings.rung or not settings.rewind_step:
        return None
    return replace(settings, arm="dense").checked(), settings.rewind_step


def several(name: str, values: Iterable) -> tuple:
    """A list that a person wrote, as a tuple; UserError for a single value."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        usual = LISTS[name]
        meant = [values] if isinstance(values, type(usual[0])) else usual
        raise UserError(f"{name} {shown(values)} is not a list: write {shown(meant)}")
    return tuple(values)
