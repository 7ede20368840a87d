"""The cards of results/tickets made anew: what they say of other seeds grows with the records."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from lottery.files import root
from lottery.runs.store import Store
from lottery.tickets.card import card
from lottery.tickets.export import facts
from lottery.tickets.folder import write
from lottery.tickets.ticket import Ticket


def renew(folder: Path, store: Store) -> None:
    """Write a packed ticket again, with what the store's records say of it today."""
    old = Ticket.load(folder).contents
    told = facts(old.record, store.records(old.settings.dataset)[0])
    contents = replace(old, facts={**old.facts, **told})
    beside = folder.with_name(f".{folder.name}.new")
    write(beside, contents, card(contents, small=True), small=True)
    shutil.rmtree(folder)
    beside.rename(folder)


if __name__ == "__main__":
    results = root() / "results"
    for path in sorted((results / "tickets").iterdir()):
        renew(path, Store(results))
        print(path.relative_to(root()))
