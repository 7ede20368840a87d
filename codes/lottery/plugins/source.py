"""A function or class from outside: its source with all that it names, and the digest of that."""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import math
import symtable
import sys
import sysconfig
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from lottery.files import PACKAGE, UserError

FUTURE = "from __future__ import annotations\n"
INSTALLED = {Path(p).resolve() for n, p in sysconfig.get_paths().items() if "lib" in n}
LITERALS = (type(None), bool, int, float, complex, str, bytes)


@dataclass(frozen=True)
class Source:
    """What another process needs to have the same score, arm or model."""

    kind: str  # "score", "arm" or "model"
    name: str
    text: str  # runs by itself in an empty module
    digest: str

    @property
    def part(self) -> str:
        """What stands in a run's name."""
        return f"{self.kind} {self.name} {self.digest}"


def pin(thing: Callable) -> None:
    """Keep the source that `thing` was made from, whatever is written to its file afterwards."""
    file = file_of(thing)
    if file and Path(file).is_file():  # a notebook's cell is none, and stays as it is
        with tokenize.open(file) as lines:
            remember(file, lines.read())


def remember(file: str, text: str) -> None:
    """Let tracebacks and `source_of` read `text` as the content of `file`."""
    linecache.cache[file] = (len(text), None, list(io.StringIO(text)), file)


def run(text: str, file: str) -> None:
    """Run a text in a module of its own, its lines kept for `source_of`."""
    remember(file, text)
    module = ModuleType(f"lottery_plugin_{sha256((file + text).encode()).hexdigest()[:12]}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # where dataclasses look
    exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)


def source_of(kind: str, name: str, thing: Callable) -> Source:
    """The source of `thing` with every function, class, constant and import that it names.

    UserError for what has no source, or names what cannot be written down.
    """
    found = _Gathered(f"{kind} {name!r}")
    found.take(thing.__name__, thing)
    pieces = [*found.lines.values(), *found.definitions.values()]
    digest = sha256()
    for piece in (*sorted(found.lines.values()), *sorted(found.definitions.values())):
        digest.update(repr(meaning(piece)).encode())
    return Source(kind, name, FUTURE + "\n\n".join(pieces) + "\n", digest.hexdigest()[:12])


class _Gathered:
    """What was met on the way from one function or class, each after what it needs at once."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.lines: dict[str, str] = {}  # imports and constants
        self.definitions: dict[str, str] = {}
        self.met: set[str] = set()

    def take(self, name: str, thing: Callable) -> None:
        """A function or class, and all that it names."""
        self.met.add(name)
        text, space = self._written(name, thing), _globals(thing)
        at_once, later = names(text)
        for other in sorted(at_once):
            self._need(other, space)
        self.definitions[name] = text
        for other in sorted(later):
            self._need(other, space)

    def _need(self, name: str, space: dict[str, Any]) -> None:
        if name in self.met or name not in space:  # a builtin, or missing when it is called
            return
        value = space[name]
        if isinstance(value, ModuleType):
            self._refuse_uninstalled(name, value.__name__)
            self.lines[name] = f"import {value.__name__} as {name}"
        elif (literal := written(value)) is not None:
            self.lines[name] = f"{name} = {literal}"
        elif callable(value) and getattr(_plain(value), "__module__", "") == space["__name__"]:
            self.take(name, value)
        elif home := _home(value):
            self._refuse_uninstalled(name, home)
            self.lines[name] = f"from {home} import {_plain(value).__name__} as {name}"
        else:
            raise UserError(
                f"{self.owner} names {name}, a {type(value).__name__}: only numbers, words, lists "
                f"of them, functions, classes and modules can; make it inside the function"
            )
        self.met.add(name)

    def _refuse_uninstalled(self, name: str, module: str) -> None:
        if not is_installed(module):
            raise UserError(
                f"{self.owner} names {name} of {module}, which is not installed: write it in the "
                f"same file or notebook"
            )

    def _written(self, name: str, thing: Callable) -> str:
        """The lines of a definition, decorators and all."""
        file = file_of(thing)
        text = "".join(linecache.getlines(file)) if file else ""
        try:
            flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            body = compile(text, file or "", "exec", flags, dont_inherit=True).body
        except SyntaxError:
            body = []
        kinds = (ast.FunctionDef, ast.ClassDef)
        own = [node for node in body if isinstance(node, kinds) and node.name == name]
        if not own:
            raise UserError(
                f"{self.owner} has no source for {name}: define it by `def` or `class`, under "
                f"that name, at the top level of a file or a notebook cell"
            )
        node = own[-1]
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        return "\n".join(text.split("\n")[first - 1 : node.end_lineno])


def names(text: str) -> tuple[set[str], set[str]]:
    """What a definition names of its module: as it is defined, and when it is called.

    Annotations are not among it. Builtins are: a module may have its own by their names.
    """
    table = symtable.symtable(FUTURE + text, "", "exec")
    at_once = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    later: set[str] = set()
    todo = [(child, child.get_type() == "class") for child in table.get_children()]
    while todo:
        scope, now = todo.pop()
        found = {s.get_name() for s in scope.get_symbols() if s.is_global()}
        (at_once if now else later).update(found)
        todo += [(child, now and child.get_type() == "class") for child in scope.get_children()]
    return at_once, later - at_once


def meaning(text: str) -> list[str]:
    """The words of a text without comments, docstrings, blank lines and the width of indents.

    The same on every version of Python, for which f-strings are taken as written.
    """
    lines = list(io.StringIO(text))  # a form feed ends no line of Python's
    docs = [_span(node) for node in ast.walk(ast.parse(text)) if _is_documented(node)]
    words, start, quiet = [], None, False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":
            start = start or [token.start, 0]
            start[1] += 1
        elif kind == "FSTRING_END":
            start[1] -= 1
            if not start[1]:
                words.append(_between(lines, start[0], token.end))
                start = None
        elif start or kind in ("COMMENT", "NL", "ENDMARKER"):
            continue
        elif any(first <= token.start < last for first, last in docs):
            quiet = True
        elif not (quiet and kind == "NEWLINE"):
            word = kind if kind in ("INDENT", "DEDENT", "NEWLINE") else token.string
            words.append(word)
            quiet = False
        else:
            quiet = False
    return words


def _is_documented(node: ast.AST) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None


def _span(node: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    doc = node.body[0]
    return (doc.lineno, doc.col_offset), (doc.end_lineno, doc.end_col_offset)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    text = "".join(lines[start[0] - 1 : end[0]])
    return text[start[1] : len(text) - len(lines[end[0] - 1]) + end[1]]


def written(value: Any) -> str | None:
    """A constant as it is written in a program; None for what is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if type(value) in LITERALS:
        return repr(value)
    if type(value) in (list, tuple, dict):
        flat = [x for pair in value.items() for x in pair] if isinstance(value, dict) else value
        parts = [written(part) for part in flat]
        if None in parts:
            return None
        if isinstance(value, dict):
            pairs = zip(parts[::2], parts[1::2], strict=True)
            return f"{{{', '.join(f'{key}: {one}' for key, one in pairs)}}}"
        inside = ", ".join(parts) + "," * (len(parts) == 1)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return None


def is_installed(module: str) -> bool:
    """Has every process with this program the module?"""
    if module.split(".")[0] in (*sys.stdlib_module_names, "lottery"):
        return module != "__main__"
    file = getattr(sys.modules.get(module), "__file__", None)
    where = Path(file).resolve() if file else PACKAGE
    return bool(file) and any(root in where.parents for root in INSTALLED)


def _plain(thing: Any) -> Any:
    """The function under its decorators."""
    return inspect.unwrap(thing) if callable(thing) else thing


def _functions(thing: Any) -> list[FunctionType]:
    """The function, or those that a class was written with."""
    plain = _plain(thing)
    if isinstance(plain, FunctionType):
        return [plain]
    members = vars(plain).values() if isinstance(plain, type) else ()
    found = [getattr(one, "__func__", getattr(one, "fget", one)) for one in members]
    found = [_plain(one) for one in found]
    return [
        one for one in found
        if isinstance(one, FunctionType) and one.__module__ == plain.__module__
        and not one.__code__.co_filename.startswith("<string>")  # what a dataclass adds
    ]  # fmt: skip


def file_of(thing: Any) -> str | None:
    """File that the function, or the first of the class, was written in."""
    return next((one.__code__.co_filename for one in _functions(thing)), None)


def _globals(thing: Any) -> dict[str, Any]:
    return next((one.__globals__ for one in _functions(thing)), {})


def _home(value: Any) -> str | None:
    """The module that a function or class can be imported from by its name."""
    plain = _plain(value)
    module, name = getattr(plain, "__module__", None), getattr(plain, "__name__", "")
    found = getattr(sys.modules.get(module or ""), name, None)
    return module if callable(value) and found is value else None
