"""What the caller does with its graph, without a cluster."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest
from distributed.comm import CommClosedError

from helpers.children import study
from lottery.cluster import connect
from lottery.cluster.caller import Caller
from lottery.cluster.graph import Work, graph
from lottery.files import UserError
from lottery.runs.store import Store


def caller(made, said=None, client=None) -> Caller:
    work = Work(made.shelf, made.plan(), made.corpora, made.wanted)
    return Caller(graph([work]), client, 1, [].append if said is None else said.append)


@pytest.mark.parametrize("state", ["ready", "submitted", "done", "failed"])
def test_weights_that_are_gone_are_awaited_and_trained_once(tmp_path, state):
    made = study(tmp_path)
    called, (dense, ticket, _) = caller(made), [(s.run, 0) for s in made.plan()]
    below, node = called.nodes[dense], called.nodes[ticket]
    for one, now in ((below, state), (node, "ready")):  # the ticket was taken from the queue
        called._now(one, now)
    freed = []
    below.held.callback(freed.append, "its lock")
    called._requeue(node)
    assert (node.state, node.after) == ("waiting", {dense})
    queued = [key for _, _, key in called.ready]
    if state in ("ready", "submitted"):
        assert (below.state, queued, freed) == (state, [], [])
    else:
        assert (below.state, queued) == ("ready", [dense])
    assert sum(called.states.values()) == len(called.nodes)


def test_an_error_without_words_is_called_by_its_type(tmp_path):
    said, made = [], study(tmp_path, arms=())
    called = caller(made, said)
    (key,) = called.nodes

    class Failed:
        def result(self):
            raise MemoryError

    called.submitted[future := Failed()] = key
    called._now(called.nodes[key], "submitted")
    called._receive(future)
    assert isinstance(called.error, MemoryError)
    assert said == ["cnn dense seed 0: failed, MemoryError"]


def test_a_run_with_a_record_that_kills_its_workers_keeps_it(tmp_path):
    said, made = [], study(tmp_path)
    (record,) = made.run("dense")
    made.store.weights_path(record.settings).unlink()
    called = caller(made, said)
    node = called.nodes[record.run, 0]
    node.begun = 4
    called._record_death(node)
    assert made.store.get(record.settings) == record
    assert said[0] == "cnn dense seed 0: failed, its workers died 4 times"
    assert [node.state for node in called.nodes.values()] == ["failed"] * 3


@pytest.mark.parametrize(("devices", "room"), [(["cpu"], 4), ([None], 1), (["cpu", None], 1)])
def test_gpus_that_no_run_asks_for_give_no_places(tmp_path, devices, room):
    client = SimpleNamespace(
        scheduler_info=lambda n_workers: {"workers": {"one": {"resources": {"GPU": 1}}}},
        nthreads=lambda: {"one": 4},
    )
    works = []
    for seed, device in enumerate(devices):
        made = study(tmp_path, arms=(), seeds=(seed,))
        works.append(Work(made.shelf, made.plan(), made.corpora, (device, 1)))
    called = Caller(graph(works), client, 1, [].append)
    called._submit()
    assert called.room == room and Store(tmp_path).paths() == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CommClosedError("in <TCP>: ConnectionResetError: Connection reset by peer"), True),
        (OSError("Timed out trying to connect to tcp://there:1 after 15 s"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
    ids=["reset", "timed out", "a full disk"],
)
def test_a_scheduler_lost_while_it_is_asked_is_one_line(tmp_path, error, told):
    def asked(*_):
        raise error

    there = SimpleNamespace(address="tcp://there:1")
    client = SimpleNamespace(nthreads=asked, subscribe_topic=lambda *_: None, scheduler=there)
    with pytest.raises(UserError if told else OSError) as raised:
        caller(study(tmp_path), client=client).run()
    assert ("tcp://there:1 is gone" in str(raised.value)) == told


def test_weights_gone_several_rungs_deep_are_all_waited_for(tmp_path):
    """Else nothing is ready, nothing flies, and the command would end as if all were done."""
    made = study(tmp_path / "demo", ladder=(0.5, 0.75), arms=("lt",))
    made.run()
    longer = study(tmp_path / "demo", ladder=(0.5, 0.75, 0.875), arms=("lt",))
    dense, half, quarter, eighth = longer.plan()
    work = Work(longer.shelf, [eighth], longer.corpora)
    store = longer.store
    waiting = Caller(graph([work]), client=None, per_gpu=1, say=print)
    node = waiting.nodes[eighth.run, 0]
    waiting._now(node, "ready")
    for settings in (dense, half, quarter):
        store.weights_path(settings).unlink()
    waiting._requeue(node)
    names = {run.run: run for run in longer.plan()}
    assert [names[key[0]] for _, _, key in waiting.ready] == [dense]
    assert {names[n.settings.run]: n.state for n in waiting.nodes.values()} == {
        dense: "ready", half: "waiting", quarter: "waiting", eighth: "waiting"
    }  # fmt: skip
    assert waiting.states == {"ready": 1, "waiting": 3}


@pytest.mark.parametrize("text", ["{}", "x", "", '{"address": 5}', "[1]"])
def test_a_file_that_is_no_schedulers_is_one_line(tmp_path, text):
    path = tmp_path / "dask.json"
    path.write_text(text)
    with pytest.raises(UserError, match="is no scheduler's file"):
        study(tmp_path / "demo", client=str(path)).run()


def test_workers_that_cannot_start_are_told_of_the_guard(monkeypatch):
    """In a script without it each worker trains the script again, and Dask gives up."""

    def fails(**_):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(connect, "LocalCluster", fails)
    wanted = pytest.raises(UserError, match=r"Nanny failed to start.*if __name__ == ")
    with wanted, connect.connected(2, None, print):
        pass
