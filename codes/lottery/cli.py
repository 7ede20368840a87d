"""The lottery command."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import Field
from functools import partial
from pathlib import Path

from lottery import texts
from lottery.experiment.shard import ONLY, Shard
from lottery.files import FULL, UserError, amount, check_writable, root, say, unwritable
from lottery.plugins import option
from lottery.plugins.blame import blamed
from lottery.recipes import RECIPES
from lottery.settings import OF_CORPUS, settable, told
from lottery.tickets import commands as tickets
from lottery.training.interrupts import Terminated, terminable
from lottery.upkeep import commands as upkeep
from lottery.upkeep.commands import add_folder, folder
from lottery.words import NAMES, Parser, Version, divided

EXAMPLES = """examples:
  lottery data imdb                     what the corpus holds
  lottery run imdb cnn                  dense, lt and random at sparsity 0.5
  lottery run imdb cnn lstm --sparsity 0.5 0.75 --arm lt random --seed 0 1
  lottery run imdb agnews --jobs 2      both datasets and models, two at a time
  lottery run imdb cnn --sparsity 0.5 0.75 --at 0.75 --arm shuffled
                                        a control, at one rung of the ladder
  lottery run demo-reviews cnn          generated reviews, in seconds
  lottery run --csv reviews.csv --text body --label stars cnn
                                        on your own texts, with their report
  lottery run imdb --seed 0 1 2 --shard 1/3
                                        a share of the runs, for a job array
  lottery run imdb cnn --plugin mine.py --score mine
                                        a score of your own (docs/extend.md)
  lottery report                        records to week9.md, tables and figures
  lottery status                        what is done, running, stopped and failed
  lottery show 6a589f17211c             one run, and how to run it again
  lottery verify                        whether records, tables and report agree
  lottery export imdb cnn --sparsity 0.875 --seed 0 my-ticket
  lottery verify my-ticket              whether it scores what its record says
  lottery predict my-ticket < texts     one text a line to labels and probabilities
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Gives the exit status: 0; 1 if `verify` finds a lie, or if something was
    left out, as a record that cannot be read; 2 for a mistake that the user can mend; 130 after
    Ctrl-C, 143 after SIGTERM, 141 when nobody reads any more."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _open_streams()
    try:
        with terminable(), blamed():
            option.plug(arguments)
            parsed = _parser().parse_args(arguments)
            status = parsed.command(parsed) or 0
            sys.stdout.flush()
            return status
    except BrokenPipeError:  # `lottery status | head`: who reads has enough
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):  # what they still hold is written at the exit
            os.dup2(nowhere, stream.fileno())
        return 141
    except UserError as error:
        print(f"lottery: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(f"lottery: {unwritable(error.filename or 'a file', error)}", file=sys.stderr)
        return 2
    except Terminated:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        return 130  # what is kept has been said


def _open_streams() -> None:
    """A stream that the shell has closed takes all and keeps nothing; of a letter that an encoding
    lacks the number is written."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):  # a notebook's has no encoding
            stream.reconfigure(errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    # `plug` looks for the whole word; examples keep their lines
    form = argparse.RawDescriptionHelpFormatter
    new = partial(Parser, allow_abbrev=False, formatter_class=form)
    asked = "Do lottery tickets exist in text classifiers?"
    parser = new(prog="lottery", description=asked, epilog=EXAMPLES)
    parser.add_argument("--version", action=Version, nargs=0, help="say the package's version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=new)

    _add_data(commands)
    _add_run(commands)

    report = commands.add_parser(
        "report",
        help="records to week9.md, tables and figures",
        epilog="examples:\n  lottery report\n  lottery report --demo\n"
        "  lottery report --results results/reviews",
    )
    add_folder(report)
    option.add(report)
    report.set_defaults(command=_report)

    bench = commands.add_parser(
        "bench",
        help="time training against the ways of the tutorials",
        epilog="example:\n  lottery bench --json measured.json",
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="write every number there, too")
    bench.set_defaults(command=_bench)

    tickets.add(commands)
    upkeep.add(commands)

    _add_verify(commands)
    return parser


def _add_data(commands: argparse._SubParsersAction) -> None:
    data = commands.add_parser(
        "data",
        help="say what a corpus holds and where it was found",
        epilog="examples:\n  lottery data imdb\n"
        "  lottery data --csv reviews.csv --text body --label stars",
    )
    data.add_argument("dataset", nargs="?", help=NAMES["dataset"])
    texts.add(data)
    _add_options(data, [f for f in settable() if f.name in OF_CORPUS])
    data.set_defaults(command=_data)


def _add_run(commands: argparse._SubParsersAction) -> None:
    run = commands.add_parser(
        "run",
        help="train what is missing of a ladder",
        description="Train, prune and train again. Runs that have a record are not run again.",
        epilog=EXAMPLES,
    )
    run.add_argument(
        "what",
        nargs="*",
        metavar="DATASET|MODEL",
        help=f"of {NAMES['dataset']}; and of {NAMES['model']}{option.own('model')} (no model: all)",
    )
    texts.add(run)
    run.add_argument(
        "--sparsity",
        type=float,
        nargs="*",
        default=[0.5],
        metavar="S",
        help="the ladder: rising shares of weights removed, each within (0, 1) (default: 0.5)",
    )
    run.add_argument(
        "--at",
        type=float,
        nargs="+",
        metavar="S",
        help="train the arms at these sparsities of the ladder only (default: at all)",
    )
    run.add_argument(
        "--arm",
        nargs="+",
        default=["lt", "random"],
        metavar="ARM",
        help=f"{NAMES['arm']}{option.own('arm')}; with a --source "
        "transferred, … (docs/method.md); dense always runs (default: lt random)",
    )
    run.add_argument("--seed", type=int, nargs="+", default=[0], metavar="N", help="default: 0")
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="only say what would be trained, and how long (--rewind-step reads the texts)",
    )
    run.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    run.add_argument(
        "--threads",
        type=int,
        help="CPU threads of one training (default: all, or 1 with --jobs); changes no result",
    )
    elsewhere = run.add_argument_group("more processes, more machines (Dask)")
    one = elsewhere.add_mutually_exclusive_group()
    one.add_argument("--jobs", type=int, metavar="N", help="train on N processes of this machine")
    one.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="train on a Dask cluster: tcp://host:8786, or its --scheduler-file",
    )
    elsewhere.add_argument(
        "--per-gpu",
        type=int,
        default=1,
        metavar="K",
        help="trainings at once on each GPU of workers with the Dask resource GPU (default: 1)",
    )
    elsewhere.add_argument(
        "--shard",
        default="1/1",
        metavar="I/N",
        help="share I of N of the runs, for a job array; a model and a seed stay together",
    )
    run.add_argument("--results", type=Path, help="another results folder")
    option.add(run)
    _add_settings(run)
    run.set_defaults(command=_run)


def _add_settings(run: argparse.ArgumentParser) -> None:
    more = run.add_argument_group(
        "settings", "every number that can change a result; some pairs have a recipe of their own"
    )
    _add_options(more, settable())


def _add_options(to: argparse._ActionsContainer, chosen: Iterable[Field]) -> None:
    """An option for each; one that is not given is not among the parsed."""
    for field in chosen:
        several = isinstance(field.default, tuple)
        to.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type((field.default or ("",))[0] if several else field.default),
            default=argparse.SUPPRESS,
            nargs="+" if several else None,
            metavar="X",
            help=_said(field),
        )


def _add_verify(commands: argparse._SubParsersAction) -> None:
    verify = commands.add_parser(
        "verify",
        help="whether records, tables and report agree",
        epilog="examples:\n  lottery verify\n  lottery verify --results results/reviews\n"
        "  lottery verify my-ticket              whether it scores what its record says",
    )
    add_folder(verify)
    option.add(verify)
    verify.add_argument(
        "tickets", nargs="*", type=Path, metavar="DIR", help="test these tickets instead"
    )
    texts.add(verify)
    verify.set_defaults(command=_verify)


def _said(field: Field) -> str:
    """What a setting is, whom it belongs to, its default, and where a recipe says otherwise."""
    default, _, words, owner = told(field)
    chosen = [
        f"{dataset} {model} {recipe[field.name]}"
        for (dataset, model), recipe in RECIPES.items()
        if field.name in recipe
    ]
    if field.name == "score":
        words += f": {NAMES['score']}{option.own('score')}"
    return f"{words}{f' ({owner})' if owner else ''} (default: {'; '.join([default, *chosen])})"


# What is slow to import is imported by the command that needs it.


def _data(parsed: argparse.Namespace) -> None:
    from lottery import data as corpus

    if parsed.dataset and (file := parsed.csv or parsed.parquet):
        raise UserError(f"{parsed.dataset} and {file} are two corpora; leave out one")
    own = texts.corpus(parsed, say)
    if own is None and parsed.dataset is None:
        raise UserError("say which texts: a dataset, or --csv or --parquet with --text and --label")
    about = {name: value for name, value in vars(parsed).items() if name in OF_CORPUS}
    print(corpus.describe(corpus.load(own or parsed.dataset, **about, say=say)))


def _run(parsed: argparse.Namespace) -> int:
    from lottery.data import DATASETS
    from lottery.models import MODELS
    from lottery.runs.store import Store, table
    from lottery.study import Study, outlook, run_all

    shard = Shard.read(parsed.shard)
    datasets, chosen = divided(parsed.what, parsed.arm)
    if parsed.results and (parsed.csv or parsed.parquet) and not parsed.dry_run:
        check_writable(parsed.results)  # before the file is read
    own = texts.corpus(parsed, say)
    if own and datasets:
        raise UserError(f"{datasets[0]} and {own.source}: take one of them")
    datasets = [own] if own else datasets
    if not datasets:
        raise UserError(f"say which dataset: {', '.join(DATASETS)}; or --csv or --parquet FILE")
    known = {field.name for field in settable()}
    given = {k: v for k, v in vars(parsed).items() if k in known}
    studies = [
        Study(
            dataset,
            chosen or MODELS,
            parsed.sparsity,
            parsed.arm,
            parsed.seed,
            at=parsed.at,
            store=Store(parsed.results) if parsed.results else None,
            device=parsed.device,
            threads=parsed.threads,
            jobs=parsed.jobs,
            client=parsed.scheduler,
            per_gpu=parsed.per_gpu,
            say=say,
            **given,
        )
        for dataset in datasets
    ]
    if parsed.dry_run:
        print("\n".join(outlook(studies, shard)))
        return 0
    records = run_all(studies, shard=shard)
    if records:
        print(table(records).to_string(index=False, float_format="{:.4f}".format))
    if own and shard == ONLY:
        studies[0].report()
    return 1 if any(s.shelf.unreadable or s.lacking for s in studies) else 0


def _report(parsed: argparse.Namespace) -> int:
    from lottery.plugins.register import is_here
    from lottery.report import page as report
    from lottery.runs.store import Store

    store = Store(folder(parsed))
    read = store.records()
    print(report.write(store, say=say, read=read))
    return 0 if not read[1] and all(is_here(record.settings) for record in read[0]) else 1


def _verify(parsed: argparse.Namespace) -> int:
    if parsed.tickets:
        return tickets.verify(parsed)
    if given := texts.given(parsed):
        raise UserError(f"{given[0]} belongs to a ticket of your own texts: name its folder")
    from lottery.runs.store import Store
    from lottery.upkeep.verify import verify

    count, problems, notes = verify(Store(folder(parsed)))
    for line in problems + notes:
        print(line)
    if not problems:
        agrees = amount(count, "record: it agrees", "records: every one agrees")
        print(f"{agrees} with itself, with its name and with the report")
    return 1 if problems else 0


def _bench(parsed: argparse.Namespace) -> None:
    from importlib import util

    path = root() / "benchmarks" / "steps.py"
    if not path.is_file():
        raise UserError(f"{path} is not there: run lottery bench from a checkout of the project")
    spec = util.spec_from_file_location("benchmarks.steps", path)
    steps = sys.modules[spec.name] = util.module_from_spec(spec)  # dataclasses look it up there
    spec.loader.exec_module(steps)
    steps.run(parsed.json)


if __name__ == "__main__":
    sys.exit(main())
