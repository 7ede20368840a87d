"""The source of code from outside: what renames a run, what does not, what cannot be written."""

from __future__ import annotations

import itertools
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.plugins import ARM, MODEL, SCORE, forget, nothing_left
from lottery.files import UserError
from lottery.plugins.register import OUTSIDE, admit, sources
from lottery.plugins.source import Source, meaning, names, run, source_of, written
from lottery.settings import Settings

_numbers = itertools.count()


def source(text: str, kind: str = "score", name: str = "mine") -> Source:
    """The source of what a text registers."""
    run(textwrap.dedent(text), f"<test {next(_numbers)}>")
    return source_of(kind, name, OUTSIDE[kind, name])


with nothing_left():
    BASE = source(SCORE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1e-3", "2e-3"),  # the rule itself
        ("0.5", "0.6"),  # a constant that a helper names
        ("ALPHA * x", "ALPHA - x"),  # a helper
        ("import tanh", "import sigmoid as tanh"),  # what is imported
        ('means="squashed"', 'means="squashed", of_first=True'),
        ("weights.items()", "first.items()"),
        ("w.abs()", "w  .abs(  ) * 1"),
    ],
)
def test_a_changed_rule_is_another_name(old, new):
    assert old in SCORE
    assert source(SCORE.replace(old, new)).digest != BASE.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A rule."""', '"""Another\n\n    docstring."""'),
        ('    """A rule."""\n', ""),
        ("ALPHA = 0.5\n", "ALPHA = 0.5  # why\n\n\n"),
        ("return tanh(ALPHA * x)", "# more\n    return tanh(ALPHA*x)  # less"),
        ("    return tanh", "        return tanh"),
        ("ALPHA = 0.5", "OTHER = 3\nALPHA = 1 / 2"),
        ("import lottery\n", "import lottery, os\n"),
        ("(ALPHA * x)", "(\n        ALPHA\n        * x\n    )"),
    ],
)
def test_comments_docstrings_blanks_and_what_it_does_not_name_are_no_part(old, new):
    assert old in SCORE
    assert source(SCORE.replace(old, new)).digest == BASE.digest


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [(SCORE, "score", "mine"), (ARM, "arm", "signs"), (MODEL, "model", "bag")],
)
def test_a_source_runs_by_itself_and_has_the_same_source(text, kind, name):
    one = source(text, kind, name)
    forget(kind, name)
    admit([one])
    assert source_of(kind, name, OUTSIDE[kind, name]) == one


def test_another_source_than_its_digest_says_is_refused():
    lie = Source("score", "mine", BASE.text, "0" * 12)
    with pytest.raises(
        UserError, match=r"worker 3: the source sent as score mine 0{12} is another"
    ):
        admit([lie], "worker 3: ")


def test_a_process_that_has_it_already_runs_nothing_again():
    one = source(SCORE)
    kept = OUTSIDE["score", "mine"]
    admit([one])
    assert OUTSIDE["score", "mine"] is kept


def test_a_constant_is_read_when_a_run_is_named():
    source(SCORE)
    space = OUTSIDE["score", "mine"].__globals__
    before = sources(Settings("imdb", "cnn", "lt", (0.5,), score="mine"))
    space["ALPHA"] = 0.25
    after = sources(Settings("imdb", "cnn", "lt", (0.5,), score="mine"))
    assert before != after and "ALPHA = 0.25" in after[0].text
    assert sources(Settings("imdb", "cnn", score="mine")) == [], "dense knows no score"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("TABLE = object()", "names TABLE, a object: only numbers"),
        ("import torch\nTABLE = torch.ones(3)", "names TABLE, a Tensor"),
        ("TABLE = lambda: 3", "has no source for TABLE: define it by `def`"),
        ("def f():\n    def g(): ...\n    return g\nTABLE = f()", "no source for TABLE"),
        ("import conftest as TABLE", "names TABLE of conftest, which is not installed"),
        ("from helpers.plugins import nothing_left as TABLE", "of helpers.plugins, which is not"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_down_is_one_clear_line(line, says):
    text = f"import lottery\n{line}\n\n\n@lottery.score\ndef mine(context):\n    return TABLE\n"
    with pytest.raises(UserError, match=f"score 'mine' .*{says}"):
        source(text)


def test_a_local_name_is_no_global():
    text = """
    import lottery
    import torch

    w = x = torch.ones(3)  # a notebook is full of such


    @lottery.score
    def mine(context, y: "x" = None) -> w:
        x: w = 3
        return {w: x for w in context.weights}
    """
    assert " = " not in source(text).text.split("def mine")[0], "no constant is among it"


def test_helpers_may_need_each_other():
    text = """
    import functools
    import lottery


    class Base:
        def rank(self):
            return Rank()


    class Rank(Base):
        def of(self, n):
            return odd(n)


    def even(n):
        return n == 0 or odd(n - 1)


    @functools.cache
    def odd(n):
        return n > 0 and even(n - 1)


    @lottery.score
    def mine(context):
        return Rank().of(3), even(2)
    """
    one = source(text)
    for name in ("class Base", "class Rank", "def even", "@functools.cache\ndef odd"):
        assert name in one.text
    admit([Source(one.kind, one.name, one.text, one.digest)])
    run(one.text, "<alone>")
    assert OUTSIDE["score", "mine"](None) == (True, True)


def test_an_edited_file_does_not_lie_about_what_was_loaded(tmp_path):
    from lottery.plugins.load import load

    path = tmp_path / "mine.py"
    path.write_text(SCORE)
    assert load(path) == [("score", "mine")]
    first = source_of("score", "mine", OUTSIDE["score", "mine"])
    path.write_text("# a line\n" + SCORE.replace("1e-3", "2e-3"))
    assert source_of("score", "mine", OUTSIDE["score", "mine"]) == first
    load(path)
    assert source_of("score", "mine", OUTSIDE["score", "mine"]).digest != first.digest


def test_strings_and_f_strings_count_to_the_blank():
    for one, other in (
        ("x = f'{a} b'", "x = f'{a}  b'"),
        ("x = '''a\n\nb'''", "x = '''a\nb'''"),
        ("x = 'a # b'", "x = 'a # c'"),
        ("x = f'{a!r:>{w}}'", "x = f'{a!s:>{w}}'"),
    ):
        assert meaning(one) != meaning(other)
    assert "f'{a!r:>{w}} {f(\"x\")}'" in meaning("x = f'{a!r:>{w}} {f(\"x\")}'  # said")
    assert meaning("def f(): return 1") == meaning("def f():  return 1 # x")
    doc = 'def f():\n    """a"""; return 1'
    assert meaning(doc) != meaning(doc.replace("1", "2"))


LINES = st.sampled_from(["", "   ", "# x", "  # y = 3", "#"])


@given(st.lists(LINES, min_size=14, max_size=14))
def test_no_comment_and_no_blank_line_changes_a_meaning(between):
    lines = SCORE.splitlines()
    mixed = "\n".join(
        part for pair in itertools.zip_longest(lines, between, fillvalue="") for part in pair
    )
    assert meaning(mixed) == meaning(SCORE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=3), one, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_constant_comes_back_as_it_was(value):
    assert eval(written(value)) == value
    assert eval(written((value,))) == (value,)


def test_names_of_a_definition():
    text = textwrap.dedent("""
    @dec(LABEL)
    class C(Base):
        y = CONST
        def m(self, k: Note, d=DEFAULT) -> Note:
            q = [LOOP for z in k if z]
            return lambda: (q, METHOD, C, super())
    """)
    at_once, later = names(text)
    assert at_once == {"dec", "LABEL", "Base", "CONST", "DEFAULT"}
    assert later == {"LOOP", "METHOD", "C", "super"}


def test_a_modules_own_name_of_a_builtin_is_part_of_it():
    rule = """
    import lottery

    pow = 1.0

    @lottery.score(means="mine")
    def mine(context):
        return {name: pow * abs(w) for name, w in context.weights.items()}
    """
    with nothing_left():
        one, other = source(rule), source(rule.replace("1.0", "-1.0"))
    assert "pow = 1.0" in one.text and "pow = -1.0" in other.text and "abs = " not in one.text
    assert one.digest != other.digest


@pytest.mark.parametrize("mark", ["\f", "\x1c", "\x85", "\u2028"])
def test_a_mark_that_ends_no_line_of_pythons_takes_none_away(mark):
    text = SCORE.replace("\n\n\n@", f"\n# a page{mark}ends\n\n@", 1)
    assert mark in text
    assert source(text).text == BASE.text and source(text).digest == BASE.digest
