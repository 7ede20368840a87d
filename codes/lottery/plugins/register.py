"""`@lottery.score`, `@lottery.arm`, `@lottery.model`, and whether a run's code is the one here."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lottery.data import DATASETS
from lottery.files import UserError
from lottery.models import MODELS
from lottery.models.base import Model
from lottery.plugins.source import Source, file_of, pin, run, source_of
from lottery.pruning.arms import ARMS, Arm
from lottery.pruning.scores import SCORES, Score
from lottery.settings import Settings

REGISTRIES: dict[str, dict[str, Any]] = {"score": SCORES, "arm": ARMS, "model": MODELS}
OUTSIDE: dict[tuple[str, str], Callable] = {}  # by kind and name: what was decorated
_parts: dict[tuple[str, str], str] = {}  # as they were when a run was last named


def score(make: Callable | None = None, *, means: str = "", of_first: bool = False):
    """Register a function from a `Context` to a dict of scores: the lowest are pruned first.

    `of_first` scores the first values, so that nothing is trained before it prunes; `means` says in
    a few words what it is.
    """

    def keep(make: Callable) -> Callable:
        name = _name("score", make)
        _check_takes(f"score {name!r}", make, f"{name}(context)", 1)
        return _keep("score", name, make, Score(name, make, means or "from outside", of_first))

    return keep if make is None else keep(make)


def arm(
    make: Callable | None = None,
    *,
    label: str = "",
    means: str = "",
    against: str | None = "lt",
    look: Mapping[str, Any] | None = None,
    tunes: bool = False,
):
    """Register a function from `Origins` to a `Ticket`.

    `label` names it in tables and figures, `means` in the report's legend; `against` is "lt" if
    the ticket is held against it, or None, and `look` how its line is drawn, in matplotlib's
    words. With `tunes` it is given trained weights whatever the score.
    """

    def keep(make: Callable) -> Callable:
        name = _name("arm", make)
        _check_takes(f"arm {name!r}", make, f"{name}(origins)", 1)
        if against not in ("lt", None):
            raise UserError(f"arm {name!r} is against {against!r}: it can be 'lt' or None")
        words = label or name.replace("_", " ")
        made = Arm(name, words, make, means or words, against, dict(look or {}), tunes=tunes)
        return _keep("arm", name, make, made)

    return keep if make is None else keep(make)


def model(made: type[Model] | None = None, *, label: str = ""):
    """Register a class of networks, a `lottery.Model` of any PyTorch layers.

    Its name is the class's in small letters; `label` is that of tables and figures. Its word
    vectors are the `nn.Embedding` or `nn.EmbeddingBag` called `embedding`, its last layer is
    called `output`.
    """

    def keep(made: type[Model]) -> type[Model]:
        name = _name("model", made)
        if not isinstance(made, type) or not issubclass(made, Model):
            raise UserError(f"model {name!r} is no class of networks: write class X(lottery.Model)")
        if name in DATASETS:
            raise UserError(f"model {name!r} is the name of a dataset: take another")
        of = f"model {name!r}"
        _check_takes(of, _own(made, "forward"), "forward(self, batch, noise=None)", 2, 3)
        _check_takes(of, _own(made, "__init__"), "__init__(self, settings, words, outputs)", 4)
        made.label = label or made.label or made.__name__
        return _keep("model", name, made, made)

    return keep if made is None else keep(made)


def _name(kind: str, thing: Any) -> str:
    """What it is called everywhere; UserError if it cannot be."""
    name = getattr(thing, "__name__", "").lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"a {kind} is a function or class with a name, not {thing!r}")
    if name in REGISTRIES[kind] and (kind, name) not in OUTSIDE:
        raise UserError(f"{kind} {name!r} is the package's own: take another name")
    return name


def _own(made: type[Model], method: str) -> Callable | None:
    """A method that is written for this class of networks, or for one that it stands on."""
    found = getattr(made, method)
    return None if found is getattr(Model, method) else found


def _check_takes(of: str, make: Callable | None, wanted: str, *counts: int) -> None:
    """UserError unless it can be called with each of these numbers of arguments."""
    own = None
    try:
        own = inspect.signature(make)
        for count in counts:
            own.bind(*range(count))
    except ValueError:  # a builtin, which has no source either
        return
    except TypeError:
        name = wanted.partition("(")[0]
        has = f"{name}{own}" if own else f"no {name}"
        raise UserError(f"{of} has {' '.join(has.split())}: write def {wanted}") from None


def _keep(kind: str, name: str, thing: Callable, entry: Any) -> Callable:
    pin(thing)
    OUTSIDE[kind, name], REGISTRIES[kind][name] = thing, entry
    _parts.pop((kind, name), None)
    return thing


def files() -> set[str | None]:
    """Where what is registered was written: files, cells, names of sources that were sent."""
    return {file_of(thing) for thing in OUTSIDE.values()}


def sources(settings: Settings) -> list[Source]:
    """What this run has from outside, as it is now; UserError if it cannot be written down."""
    found = [source_of(*key, OUTSIDE[key]) for key in _keys(settings)]
    _parts.update({(one.kind, one.name): one.part for one in found})
    return found


def named(settings: Settings) -> Settings:
    """The same run with the code that is here now in its name."""
    return replace(settings, code=tuple(sorted(one.part for one in sources(settings))))


def coded(settings: Settings) -> Settings:
    """The same as `named`, of the code as it was when a run was last named: for many records."""
    code = _code(settings)
    return settings if code == settings.code else replace(settings, code=code)


def _code(settings: Settings) -> tuple[str, ...]:
    keys = _keys(settings)
    if any(key not in _parts for key in keys):
        sources(settings)
    return tuple(sorted(_parts[key] for key in keys))


def _keys(settings: Settings) -> list[tuple[str, str]]:
    """Kind and name of what a run has from outside."""
    keys = [("model", settings.model)]
    if settings.arm != "dense":
        keys += [("arm", settings.arm), ("score", settings.score)]
    return [key for key in keys if key in OUTSIDE]


def is_here(settings: Settings) -> bool:
    """Is what the run has from outside here, the very same?"""
    return _code(settings) == settings.code


def absent(settings: Settings) -> list[str]:
    """What the run has from outside and is not here, or is other code here."""
    here = _code(settings)
    return [part for part in settings.code if part not in here] or ["the code of its run"]


def check_code(settings: Settings) -> None:
    """UserError unless the run's code is what is here now."""
    if named(settings).code != settings.code:
        said = ", ".join(settings.code) or "none"
        raise UserError(
            f"the code from outside is no longer that of the run ({said}): make the study again"
        )


def admit(given: Iterable[Source], where: str = "") -> None:
    """Take sources that another process has sent; UserError if one is not what it says."""
    for one in given:
        key = one.kind, one.name
        if key in OUTSIDE and source_of(*key, OUTSIDE[key]).part == one.part:
            continue
        run(one.text, f"<{one.part}>")
        if key not in OUTSIDE or source_of(*key, OUTSIDE[key]).part != one.part:
            raise UserError(f"{where}the source sent as {one.part} is another")
