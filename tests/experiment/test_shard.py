"""Shares of a job array: together all runs, each once, and every chain whole."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.children import study
from helpers.stores import same
from lottery import cli
from lottery.experiment.plan import planned
from lottery.experiment.shard import Shard
from lottery.files import UserError
from lottery.upkeep.merge import merge


@settings(max_examples=40)
@given(
    seeds=st.integers(1, 7),
    models=st.sampled_from([["cnn"], ["cnn", "lstm"]]),
    datasets=st.sampled_from([["imdb"], ["imdb", "agnews"]]),
    count=st.integers(1, 30),
)
def test_shares_are_all_runs_once_and_chains_are_whole(seeds, models, datasets, count):
    plans = [
        (name, planned(name, models, [0.5, 0.75], ["lt", "random"], range(seeds), None, {}).runs())
        for name in datasets
    ]
    shares = [Shard(number, count).of(plans) for number in range(1, count + 1)]
    runs = Counter(s.run for share in shares for _, own in share for s in own)
    assert runs == Counter(s.run for _, own in plans for s in own)
    assert set(runs.values()) == {1}
    holders = Counter()
    for share in shares:
        chains = {(s.dataset, s.model, s.seed) for _, own in share for s in own}
        assert all(s.dataset == name for name, own in share for s in own)
        holders.update(chains)
    assert set(holders.values()) == {1}  # no chain is parted
    sizes = [len({(s.dataset, s.model, s.seed) for _, own in sh for s in own}) for sh in shares]
    assert max(sizes) - min(sizes) <= 1
    for (_, own), (_, every) in zip(shares[0], plans, strict=True):
        assert own == [s for s in every if s in own]  # in their order


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "1", "1/0", "a/b", "1/4/2", "-1/4", "1.5/2", "", 2, None]
)
def test_what_is_no_share(text):
    with pytest.raises(UserError, match="is not i/n with i from 1 to n"):
        Shard.read(text)


def test_shares_in_one_folder_and_in_several_are_the_whole(tmp_path):
    many = {"seeds": (0, 1, 2), "arms": ("lt", "random")}
    whole = study(tmp_path / "whole", **many)
    records = whole.run()
    together = study(tmp_path / "together", **many)
    found = []
    for number in (2, 1):  # in any order
        found += together.run(shard=f"{number}/2")
        study(tmp_path / f"apart{number}", **many).run(shard=f"{number}/2")
    assert sorted(r.run for r in found) == sorted(r.run for r in records)
    same(whole.store, together.store)
    into = study(tmp_path / "merged", **many).store
    apart = [tmp_path / f"apart{number}" for number in (1, 2)]
    assert merge(into, apart, [].append) == ({"new": len(records)}, [])
    same(whole.store, into)  # with their weights
    assert len(study(tmp_path / "merged", **many).run()) == len(records)


def test_a_share_of_nothing_is_said(tmp_path, capsys):
    words = ["run", "demo-reviews", "cnn", "--shard", "2/2", "--results", str(tmp_path / "demo")]
    assert cli.main(words) == 0
    assert "nothing to do, for all there is to share is 1 chain" in capsys.readouterr().err
    assert cli.main([*words[:-3], "3/2", *words[-2:]]) == 2
    assert "shard '3/2' is not i/n" in capsys.readouterr().err
