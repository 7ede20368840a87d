"""The shell's commands that look after a results folder, but for `verify`."""

from __future__ import annotations

import argparse
from pathlib import Path

from lottery.files import UserError, root, say
from lottery.plugins import option

# What is slow to import is imported by the command that needs it.


def add(commands: argparse._SubParsersAction) -> None:
    """Add `merge`, `status`, `show` and `clean` to the command's parsers."""
    merge = commands.add_parser(
        "merge",
        help="results folders that were filled apart, to one",
        description="Copy the records of other results folders, with their weights. Of a run that\n"
        "both have, the records are compared, and the one that is there is kept.",
        epilog="examples:\n  lottery merge /mnt/night1/results /mnt/night2/results\n"
        "  lottery merge /mnt/shares/* --results results/imdb-twice",
    )
    merge.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="where they come from")
    merge.add_argument("--results", type=Path, help="where they go (default: results/)")
    merge.set_defaults(command=_merge)

    status = commands.add_parser(
        "status",
        help="what is done, running, stopped and failed",
        epilog="examples:\n  lottery status\n  lottery status --results results/reviews",
    )
    add_folder(status)
    status.set_defaults(command=_status)

    show = commands.add_parser(
        "show",
        help="one run: what came out, what it stands on, how to run it again",
        epilog="examples:\n  lottery show 6a589f17211c\n"
        "  lottery show 4522 --results results/trials    the beginning of a name will do",
    )
    show.add_argument("run", metavar="RUN", help="the name of its record, or how that begins")
    add_folder(show)
    option.add(show)
    show.set_defaults(command=_show)

    clean = commands.add_parser(
        "clean",
        help="remove what no record needs, and say how much it was",
        epilog="examples:\n  lottery clean --dry-run\n  lottery clean --demo",
    )
    add_folder(clean)
    clean.add_argument("--dry-run", action="store_true", help="only say it")
    clean.set_defaults(command=_clean)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a results folder."""
    parser.add_argument("--results", type=Path, help="another results folder")
    parser.add_argument(
        "--demo", action="store_true", help="the results folder of the generated corpora"
    )


def folder(parsed: argparse.Namespace) -> Path:
    """The results folder asked for; a mistyped one is no empty one."""
    if parsed.results and parsed.demo:
        raise UserError(f"--results {parsed.results} and --demo are two folders; leave out one")
    kept = ("runs", "checkpoints")  # before the first record there are weights
    if parsed.results and not any((parsed.results / name).is_dir() for name in kept):
        raise UserError(f"--results {parsed.results}: is no results folder; name one with runs/")
    return parsed.results or root() / "results" / ("demo" if parsed.demo else "")


def _merge(parsed: argparse.Namespace) -> int:
    from lottery.runs.store import Store
    from lottery.upkeep.merge import merge

    into = Store(parsed.results or root() / "results")
    _, problems = merge(into, parsed.folders, say)
    print("\n".join(problems) or f"every record is in {into.root}")
    return 1 if problems else 0


def _status(parsed: argparse.Namespace) -> int:
    from lottery.runs.store import Store
    from lottery.upkeep.status import status

    lines, unread = status(Store(folder(parsed)))
    print("\n".join(lines + unread))
    return 1 if unread else 0


def _show(parsed: argparse.Namespace) -> None:
    from lottery.runs.store import Store
    from lottery.upkeep.show import find, show

    store = Store(folder(parsed))
    print("\n".join(show(store, find(store, parsed.run))))


def _clean(parsed: argparse.Namespace) -> int:
    from lottery.runs.store import Store
    from lottery.upkeep.clean import clean

    store = Store(folder(parsed))
    removed = clean(store, parsed.dry_run)
    for kind, (count, size) in sorted(removed.items()):
        print(f"{kind}: {count}, {size / 1e6:.1f} MB")
    total = sum(size for _, size in removed.values()) / 1e6
    print(f"{total:.1f} MB {'would be' if parsed.dry_run else 'are'} free again")
    unread = store.records()[1]
    for line in unread:
        say(line)
    return 1 if unread else 0
