"""Whoever dies or is stopped, what is finished stays and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import children
from helpers.children import Child, study
from helpers.dask_cluster import Cluster
from helpers.engines import begun, same, states, until
from lottery.cluster import caller
from lottery.report import page as report
from lottery.runs.store import Store
from lottery.study import Study
from lottery.upkeep.verify import verify

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals"),
]


@dataclass
class Mid:
    """A command on a cluster, stopped in its second run, and the records that it must come to."""

    quiet: Study
    store: Store
    one: Cluster
    worker: subprocess.Popen
    child: Child
    arguments: list[object]
    trained: Path  # the runs begun

    def whole(self) -> None:
        """The records are those of a quiet study, whole, and the dense run was trained once."""
        same(self.store, self.quiet.store)
        assert begun(self.trained)[self.quiet.plan()[0].run] == 1, "what is finished stays"
        report.write(self.store, say=[].append)
        assert verify(self.store) == (3, [], [])


@pytest.fixture
def mid(tmp_path, make) -> Mid:
    quiet = study(tmp_path / "quiet", epochs=6)
    quiet.run()
    one, store, trained = make(), Store(tmp_path / "demo"), tmp_path / "trained"
    worker = one.add("--no-nanny", trained=trained, slow=0.5)
    arguments = children.run(store.root, "--scheduler", one.address, epochs=6)
    child = Child(arguments, tmp_path / "log")
    dense = store.state_path(quiet.plan()[0])  # for a moment it is still there beside its record
    until(lambda: len(store.paths()) == 1 and {*states(store)} - {dense})
    return Mid(quiet, store, one, worker, child, arguments, trained)


def test_a_worker_that_dies_costs_its_current_run_only(mid):
    mid.worker.kill()
    mid.one.add("--no-nanny", trained=mid.trained)
    assert mid.child.wait() == 0, mid.child.said
    mid.whole()
    counts = begun(mid.trained)
    del counts[mid.quiet.plan()[0].run]
    assert sorted(counts.values()) in ([1, 2], [2, 2]), "what was at work is begun again"
    said = [line for line in mid.child.said if "set aside" in line]
    assert said == [], "from its last epoch: the disk is common"
    assert states(mid.store) == []


def test_the_scheduler_dies_and_the_same_command_goes_on(tmp_path, make, mid):
    mid.one.scheduler.kill()
    assert mid.child.wait() == 2
    said = mid.child.said
    assert any("scheduler" in line and "run the same" in line for line in said), said
    assert "Traceback" not in mid.child.log.read_text()
    mid.one.close()
    two = make()
    two.add("--no-nanny", trained=mid.trained)
    arguments = children.run(mid.store.root, "--scheduler", two.address, epochs=6)
    again = Child(arguments, tmp_path / "log2")
    assert again.wait() == 0, again.said
    mid.whole()


def test_the_caller_dies_and_its_work_stops(tmp_path, mid):
    assert mid.child.kill() == -signal.SIGKILL
    again = Child(mid.arguments, tmp_path / "log2")
    assert again.wait() == 0, again.said
    mid.whole()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_stopped_local_jobs_leave_no_process_behind(tmp_path, number, status):
    options = {"arms": ("lt",), "epochs": 400}
    store = Store(tmp_path / "demo")
    child = Child(children.run(store.root, "--jobs", "2", **options), tmp_path / "log")
    until(lambda: bool(states(store)))
    family = descendants(child.process.pid)
    assert len(family) >= 2
    child.send(number)
    assert child.wait() == status, child.said
    until(lambda: not any(map(alive, family)))
    if number != signal.SIGKILL:
        assert any("stopped: finished runs are kept" in line for line in child.said)
        assert "Traceback" not in child.log.read_text()
    assert store.records()[1] == []


def test_ctrl_c_in_a_terminal_reaches_all_processes_and_one_speaks(tmp_path):
    arguments = children.run(tmp_path / "demo", "--jobs", "2", arms=("lt",), epochs=400)
    log = tmp_path / "log"
    with log.open("w") as out:
        command = subprocess.Popen(
            [sys.executable, "-m", "lottery.cli", *map(str, arguments)],
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    until(lambda: bool(states(Store(tmp_path / "demo"))))
    os.killpg(command.pid, signal.SIGINT)
    assert command.wait(60) == 130
    said = log.read_text()
    assert "stopped: finished runs are kept" in said
    assert "Traceback" not in said and "KeyboardInterrupt" not in said


def descendants(parent: int) -> set[int]:
    rows = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, row.split())) for row in rows.stdout.splitlines()]
    found = {parent}
    for _ in range(6):
        found |= {pid for pid, above in pairs if above in found}
    return found - {parent}


def alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(state.stdout.strip()) and "Z" not in state.stdout


def test_a_run_that_kills_its_workers_is_recorded_and_the_rest_goes_on(tmp_path, make, monkeypatch):
    monkeypatch.setattr(caller, "DEATHS", 2)  # a worker takes seconds to come back
    one, store = make(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1"), Store(tmp_path / "demo")
    one.add("--nworkers", "2", killer="random")
    said = []
    made = study(store.root, arms=("lt", "random", "shuffled"), client=one.address, say=said.append)
    records = made.run()
    assert Counter(r.settings.arm for r in records) == {"dense": 1, "lt": 1, "shuffled": 1}
    (failed,) = [r for r in store.records()[0] if r.failed]
    assert (failed.settings.arm, failed.failed) == ("random", "its workers died 2 times")
    (line,) = [line for line in said if ": failed, " in line]
    assert "to try again" in line and failed.run in line
    said.clear()
    assert made.run() == records, "nothing is tried again"
    (line,) = said
    assert "failed before, its workers died 2 times; to try again" in line
