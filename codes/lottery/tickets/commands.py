"""The shell's commands about tickets. What is slow to import is imported by who needs it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lottery import texts
from lottery.files import UserError, meant, say
from lottery.settings import title
from lottery.words import NAMES


def add(commands: argparse._SubParsersAction) -> None:
    """Add `export` and `predict` to the command's parsers."""
    export = commands.add_parser(
        "export",
        help="a run's tested network as a folder to take away (README, tokenizer, mask)",
        epilog="examples:\n  lottery export imdb cnn --sparsity 0.875 --seed 0 my-ticket\n"
        "  lottery export imdb cnn my-ticket --run 108f75e83994\n"
        "  lottery export reviews cnn my-ticket --sparsity 0.5 --csv reviews.csv --text body "
        "--label stars",
    )
    export.add_argument("dataset", help=f"{NAMES['dataset']}, or the name of your own texts")
    export.add_argument("model", help=NAMES["model"])
    export.add_argument("folder", type=Path, metavar="DIR", help="where it goes; must not exist")
    export.add_argument("--sparsity", type=float, default=0.875, metavar="S", help="default: 0.875")
    export.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    export.add_argument("--arm", default="lt", help="default: lt; dense needs --sparsity 0")
    export.add_argument(
        "--run",
        metavar="NAME",
        help="this run, whatever its settings, as its file in runs/ is named",
    )
    export.add_argument("--results", type=Path, help="another results folder")
    export.add_argument(
        "--without-first", action="store_true", help="leave the first values out (a third less)"
    )
    export.add_argument(
        "--inside",
        action="store_true",
        help="store what the notebooks show of other networks, too: lower rungs of one tensor's "
        "mask, the dense network's other answers (trained again if their weights are gone)",
    )
    export.add_argument(
        "--onnx", action="store_true", help="model.onnx, too; needs this project's extra `onnx`"
    )
    export.add_argument(
        "--small", action="store_true", help="pack what people do not read (`xz -dk` unpacks it)"
    )
    texts.add(export)
    export.set_defaults(command=_export)

    predict = commands.add_parser(
        "predict",
        help="texts on standard input to labels and probabilities",
        description="One text a line, in UTF-8, or with --column a CSV; a CSV row for each on\n"
        "standard output. A line ends with a line feed, a carriage return or both. One that\n"
        "cannot be read keeps its row, is named, and makes the status 1. A text without a word,\n"
        "a blank one say, keeps its row, too: without label and probabilities. The probability\n"
        "of a class called label or line stands under p(label) or p(line). The line of a CSV's\n"
        "row is its last one.",
        epilog="example:\n  lottery predict results/tickets/imdb-cnn --column review < films.csv",
    )
    predict.add_argument("folder", type=Path, metavar="DIR", help="a ticket's folder")
    predict.add_argument("--column", metavar="NAME", help="the input is a CSV: this column's texts")
    predict.add_argument(
        "--delimiter", metavar="C", help="of the CSV (default: the one of , ; tab | that fits)"
    )
    predict.add_argument(
        "--encoding", metavar="NAME", help="of the CSV, e.g. latin-1 (default: UTF-8)"
    )
    predict.set_defaults(command=_predict)


def _export(parsed: argparse.Namespace) -> None:
    from lottery.data import DATASETS
    from lottery.runs.store import Store
    from lottery.study import results_of
    from lottery.tickets.export import choice, export, find, sizes
    from lottery.upkeep import show

    if parsed.dataset in DATASETS and (given := texts.given(parsed)):
        raise UserError(f"{parsed.dataset} is the project's own: leave out {given[0]}")
    own = texts.corpus(parsed, say, parsed.dataset)
    if parsed.dataset not in DATASETS and own is None:
        raise UserError(
            f"unknown dataset {parsed.dataset!r}: there are {', '.join(DATASETS)}; to your own "
            f"texts belong --csv or --parquet FILE, --text and --label"
            f"{meant(parsed.dataset, DATASETS)}"
        )
    store = Store(parsed.results) if parsed.results else results_of(own or parsed.dataset)
    records, unread = store.records(parsed.dataset)
    if unread:
        say(f"records that cannot be read: {len(unread)}; the first: {unread[0]}")
    if parsed.run:
        record = show.find(store, parsed.run)
        if record.settings.pair != (parsed.dataset, parsed.model):
            raise UserError(f"run {parsed.run} is of {' '.join(record.settings.pair)}: name these")
        if record.failed:
            raise UserError(f"{title(record.settings)}: {record.failed}")
        say(f"{parsed.run}: {title(record.settings)}")
    else:
        record = find(records, parsed.model, parsed.arm, parsed.sparsity, parsed.seed)
        if line := choice(record, records):
            say(line)
    more = {"texts": own, "inside": parsed.inside, "onnx": parsed.onnx, "small": parsed.small}
    ticket = export(store, record, parsed.folder, not parsed.without_first, say, **more)
    print(ticket.report())
    found, whole = sizes(ticket, parsed.folder), sum(w.numel() for w in ticket.trained.values())
    print(
        f"{parsed.folder}: weights and mask {found['bytes']:,} bytes, {4 * whole:,} if dense; "
        f"{found['folder']:,} in all"
    )


def _predict(parsed: argparse.Namespace) -> int:
    from lottery.tickets import predict
    from lottery.tickets.ticket import Ticket

    ticket = Ticket.load(parsed.folder)
    if sys.stdin is None:
        raise UserError("standard input is closed; give it texts: < texts.txt")
    stdin = sys.stdin.buffer
    if hasattr(sys.stdout, "reconfigure"):
        # As the lines are. Errors are named again, for a new encoding would make them strict.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    form = {n: v for n in ("delimiter", "encoding") if (v := getattr(parsed, n)) is not None}
    if form and not parsed.column:
        raise UserError(f"--{next(iter(form))} is of a CSV: name its --column; lines are UTF-8")
    column, lines = predict.column, predict.lines
    found = column(stdin, parsed.column, **form) if parsed.column else lines(stdin)
    bar = sys.stderr.isatty() and not sys.stdout.isatty()
    return 1 if predict.predict(ticket, found, sys.stdout, say, bar) else 0


def verify(parsed: argparse.Namespace) -> int:
    """Test tickets on their corpora; 1 if one is not what its record says."""
    from lottery.data import DATASETS
    from lottery.tickets.check import check
    from lottery.tickets.ticket import Ticket

    status = 0
    for folder in parsed.tickets:
        ticket, own = Ticket.load(folder), None
        if (name := ticket.settings.dataset) not in DATASETS:
            own = texts.corpus(parsed, say, name)
        elif given := texts.given(parsed):
            raise UserError(f"{folder}: is of {name}, the project's own: leave out {given[0]}")
        found = check(ticket, say, own)
        print(f"{folder}: {found}")
        status |= not found.is_good
    return int(status)
