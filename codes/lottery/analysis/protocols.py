"""By what settings a run was made: its protocol, and how its mask is not the recipe's plain one."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

from lottery.plugins.register import coded
from lottery.pruning import arms
from lottery.recipes import RECIPES, STRONGEST_DENSE, WITHOUT_DECAY, Recipes
from lottery.runs.record import Record
from lottery.settings import Settings

OF_MASKS = ("score", "scored_at", "kept_dense", "scope", "output_rate", "rewind_step")


def identity(record: Record) -> tuple[Settings, str]:
    """What two records must share to stand in one table: the protocol and the very same texts."""
    return record.settings.protocol, fingerprint(record)


def fingerprint(record: Record) -> str:
    """What names the texts that a run was made on."""
    return str(record.data["fingerprint"])


def protocol(pair: tuple[str, str], recipes: Recipes = RECIPES) -> Settings:
    """The protocol of a (dataset, model) by its recipe; the defaults' where it has none.

    Of a model from outside, with the code that is here: records carry theirs.
    """
    return coded(_protocol(*pair, tuple(recipes.get(pair, {}).items())))


# A report asks for the same few, tens of thousands of times, and compares what it is given: that
# 1 and 1.0 are one key does no harm.
@lru_cache
def _protocol(dataset: str, model: str, options: tuple[tuple[str, Any], ...]) -> Settings:
    return Settings(dataset, model, **dict(options)).protocol


@lru_cache(maxsize=2**14)
def _plain(settings: Settings, options: tuple[tuple[str, Any], ...]) -> Settings:
    own = {"arm": settings.arm, "ladder": settings.ladder, "seed": settings.seed}
    return replace(settings.protocol, **dict(options), **own).normal()


def is_former(settings: Settings) -> bool:
    """Is this a run by the recipe without weight decay, where today's is another?"""
    pair, own = settings.pair, settings.protocol
    return own == protocol(pair, WITHOUT_DECAY) != protocol(pair)


def stronger(settings: Settings) -> Settings | None:
    """The protocol of a dense network that is stronger on validation; None if theirs is strongest.

    It is that of `STRONGEST_DENSE`; where none is named, today's recipe beside the former one.
    """
    pair = settings.pair
    if pair not in STRONGEST_DENSE and not is_former(settings):
        return None
    strongest = protocol(pair, STRONGEST_DENSE if pair in STRONGEST_DENSE else RECIPES)
    wanted = replace(strongest, split_seed=settings.split_seed)  # else the test texts are others
    return None if wanted == settings.protocol else wanted


def plain(settings: Settings) -> Settings:
    """The same arm, rung and seed with the mask made as the pair's recipe says."""
    recipes = WITHOUT_DECAY if is_former(settings) else RECIPES
    recipe = recipes.get(settings.pair, {})
    return _plain(settings, tuple((name, recipe[name]) for name in OF_MASKS if name in recipe))


def variant(settings: Settings) -> dict[str, Any]:
    """How the mask was made, where it is not the recipe's way, e.g. {"rewind_step": 438}."""
    return differences(settings, plain(settings))


def differences(settings: Settings, other: Settings) -> dict[str, Any]:
    """The fields of `settings` that differ from `other`, with their values; but for digests."""
    both = ((f.name, getattr(settings, f.name), getattr(other, f.name)) for f in fields(Settings))
    return {name: own for name, own, base in both if own != base and name != "code"}


def words(options: dict[str, Any]) -> str:
    """Options as "rewind_step 438, scope global"."""

    def said(value: Any) -> str:
        if isinstance(value, (tuple, list)):
            return "[" + ", ".join(map(str, value)) + "]"
        return str(value)

    return ", ".join(f"{name} {said(value)}" for name, value in options.items())


def label(settings: Settings) -> str:
    """The arm as the report calls it, with the options that are not the plain ones."""
    return ", ".join(filter(None, (arms.label(settings.arm), words(variant(settings)))))
