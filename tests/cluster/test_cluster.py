"""The same runs on many processes: the same records, and nothing lost whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers import children
from helpers.children import Child, study
from helpers.dask_cluster import Cluster
from helpers.plugins import ARM, MODEL, SCORE, nothing_left
from helpers.stores import content, weights
from lottery import cli
from lottery.cluster import caller
from lottery.cluster.graph import Work, graph, measure, usual_seconds
from lottery.experiment.plan import below, needs
from lottery.experiment.shelf import Gone, SentShelf
from lottery.files import UserError
from lottery.outside.source import run
from lottery.pruning.masks import full_mask, prunable
from lottery.report import page as report
from lottery.runs.checkpoints import named, packed, unpacked
from lottery.runs.store import Store
from lottery.study import Study
from lottery.upkeep.verify import verify

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals"),
]

LADDER = {"ladder": (0.5, 0.75), "arms": ("lt", "random", "random_mask", "shuffled", "finetune")}
ELSEWHERE = ("host", "worker")  # what another engine may change in a record, beside times


def same(one: Store, other: Store) -> None:
    """Records alike but for time, host and worker; weights to the bit."""
    a, b = content(one), content(other)
    for records in (a, b):
        for values in records.values():
            for name in ELSEWHERE:
                values.pop(name)
    assert a == b
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    for name, (tensors, facts) in a.items():
        assert facts == b[name][1]
        assert all(torch.equal(t, b[name][0][n]) for n, t in tensors.items())


@pytest.fixture
def make(tmp_path):
    made = []

    def start(**env: str) -> Cluster:
        made.append(Cluster(tmp_path / f"cluster{len(made)}", **env))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_records_do_not_depend_on_the_engine(tmp_path, make):
    here = study(tmp_path / "here", **LADDER)
    records = here.run()
    late = study(tmp_path / "here", ladder=(0.5, 0.75), arms=("lt",), rewind_step=3)
    late.run()

    jobs = study(tmp_path / "jobs", jobs=2, **LADDER)
    assert {r.run for r in jobs.run()} == {r.run for r in records}
    study(tmp_path / "jobs", ladder=(0.5, 0.75), arms=("lt",), rewind_step=3, jobs=2).run()
    same(jobs.store, here.store)
    assert {r.worker for r in jobs.run()} <= {"0", "1"}

    # Three workers that see neither the results nor each other's folders.
    apart, far = make(), Store(tmp_path / "far")
    for number in range(3):
        apart.add("--name", f"far{number}", "--no-nanny", blind=far.root)
    apart.wait()
    made = study(far.root, client=str(apart.file), **LADDER)
    told = made.run()
    study(far.root, ladder=(0.5, 0.75), arms=("lt",), rewind_step=3, client=apart.address).run()
    same(far, here.store)
    assert {r.worker for r in told} <= {"far0", "far1", "far2"}
    assert len({r.worker for r in told}) > 1
    assert all(r.host for r in told)
    assert states(far) == []


def test_masks_travel_by_every_engine(tmp_path, make):
    asked = ("transferred", "transferred_weights"), "demo-news"
    here = children.travel(tmp_path / "here", *asked)
    here.run()
    jobs = children.travel(tmp_path / "jobs", *asked, jobs=2)
    jobs.run()
    same(jobs.store, here.store)

    # A worker that does not see the results, and is sent the other's texts and ticket.
    apart, far = make(), Store(tmp_path / "far")
    apart.add("--name", "far", "--no-nanny", blind=far.root)
    apart.wait()
    children.travel(far.root, *asked, client=apart.address).run()
    same(far, here.store)
    late = [children.travel(store.root, *asked, rewind_step=2, **more) for store, more in (
        (here.store, {}), (far, {"client": apart.address}))]  # fmt: skip
    for made in late:
        made.run()
    same(far, here.store)


def begun(path: Path) -> Counter:
    return Counter(path.read_text().split()) if path.exists() else Counter()


def until(true, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.02)


def states(store: Store) -> list[Path]:
    return list(store.root.rglob("*.state.safetensors"))


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
    (line,) = [line for line in said if "stopped" in line]
    assert "to try it again" in line and failed.run in line
    said.clear()
    assert made.run() == records, "nothing is tried again"
    assert said == []


def test_a_worker_with_other_code_is_refused(tmp_path, make):
    one = make()
    one.add("--no-nanny", code=1)
    with pytest.raises(UserError, match="runs other code") as caught:
        study(tmp_path / "demo", client=one.address).run()
    assert "\n" not in str(caught.value)


def test_a_worker_that_comes_later_without_the_disk_is_sent_everything(tmp_path, make):
    quiet = study(tmp_path / "quiet", epochs=4, **LADDER)
    quiet.run()
    one, store = make(), Store(tmp_path / "demo")
    one.add("--no-nanny", slow=0.1)
    child = Child(
        children.run(
            store.root, "--scheduler", one.address, "--sparsity", "0.5", "0.75", epochs=4,
            arms=LADDER["arms"],
        ),
        tmp_path / "log",
    )  # fmt: skip
    until(lambda: bool(states(store)))
    one.add("--no-nanny", "--name", "late", blind=store.root)
    assert child.wait() == 0, child.said
    same(store, quiet.store)
    assert "late" in {r.worker for r in store.records()[0]}


def test_gpus_are_shared_as_asked(tmp_path, make, monkeypatch):
    one = make()
    one.add("--no-nanny", "--nthreads", "4", "--resources", "GPU=1")
    asked = []
    submit = Client.submit

    def watched(self, *arguments, **options):
        asked.append(options["resources"])
        return submit(self, *arguments, **options)

    monkeypatch.setattr(Client, "submit", watched)
    for per_gpu, device in ((1, None), (3, None), (1, "cpu")):
        made = study(tmp_path / f"{per_gpu}{device}", arms=(), client=one.address, per_gpu=per_gpu)
        made.wanted = device, 1
        assert len(made.run()) == 1
    assert asked == [{"GPU": 1.0}, {"GPU": 1 / 3}, None]


def test_mistakes_are_one_line(tmp_path):
    for more, words in (
        ({"jobs": 0}, "jobs 0"),
        ({"client": "tcp://127.0.0.1:9"}, "no Dask scheduler answers"),
        ({"client": "nonsense://"}, "no Dask scheduler answers"),
        ({"client": str(tmp_path / "dask.json")}, "is not there"),
        ({"client": "tcp://127.0.0.1:9", "per_gpu": 0}, "per_gpu 0"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            study(tmp_path / "demo", **more).run()
        assert "\n" not in str(caught.value)


def test_dask_is_imported_by_those_alone_who_use_it(tmp_path):
    program = (
        "import sys; from lottery import cli;"
        f"cli.main(['run', 'demo-reviews', 'cnn', '--arm', 'lt', '--epochs', '1', '--filters', '2',"
        f" '--embedding-size', '2', '--results', {str(tmp_path / 'demo')!r}]);"
        "sys.exit('distributed' in sys.modules or 'dask' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_many_studies_are_one_graph(tmp_path, capsys):
    """Two datasets and both models in one command; the bar counts them all."""
    options = ["--epochs", "1", "--embedding-size", "2", "--filters", "2", "--hidden", "2"]
    options += ["--max-tokens", "5", "--vocabulary-size", "50", "--results", str(tmp_path / "demo")]
    names = ["demo-reviews", "demo-news", "cnn", "lstm"]
    assert cli.main(["run", *names, "--jobs", "2", "--arm", "lt", *options]) == 0
    store = Store(tmp_path / "demo")
    pairs = Counter((r.settings.dataset, r.settings.model) for r in store.records()[0])
    assert pairs == {(d, m): 2 for d in names[:2] for m in names[2:]}
    said = capsys.readouterr().err
    assert "dashboard: http://" in said
    assert "8/8" in said and "0 running, 0 waiting, 0 failed" in said


@pytest.mark.skipif(sys.platform != "linux", reason="it speaks to GNU's C library")
def test_a_worker_keeps_the_memory_that_a_step_frees():
    """Dask's nanny asks for the contrary; every step would wait for fresh pages."""
    program = (
        "import resource, sys, torch; from lottery.cluster import worker;"
        "sys.argv[1:] and worker.keep_memory();"
        "torch.empty(2_000_000).fill_(1);"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt; before = faults();"
        "any(torch.empty(2_000_000).fill_(1)[0] == 2 for _ in range(50));"
        "print(faults() - before)"
    )
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", program, *more],
                env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"},
                capture_output=True,
                check=True,
            ).stdout
        )
        for more in ((), ("keep",))
    ]
    assert faults[1] < faults[0] / 5, faults


# The graph


def asked(made: Study, runs=None) -> Work:
    return Work(made.shelf, made.plan() if runs is None else runs, made.corpora)


def test_a_rung_waits_for_the_rung_below_and_nothing_else(tmp_path):
    made = study(tmp_path / "demo", ladder=(0.5, 0.75, 0.9), seeds=(0, 1), arms=LADDER["arms"])
    nodes = graph([asked(made)])
    assert len(nodes) == 2 * (1 + 3 * 5)
    for node in nodes.values():
        s = node.settings
        below = {
            k
            for k, n in nodes.items()
            if n.settings.seed == s.seed
            and n.settings.rung == s.rung - 1
            and n.settings.arm in ("dense", "lt")
        }
        assert node.after == below
        on_it = 3 - s.rung if s.arm in ("dense", "lt") else 0
        assert node.height == 1 + on_it, "the longest chain that stands on it"


def test_only_what_is_missing_is_in_the_graph(tmp_path):
    made = study(tmp_path / "demo", ladder=(0.5,))
    made.run()
    higher = study(tmp_path / "demo", ladder=(0.5, 0.75), arms=("random",))
    (wanted,) = [s for s in higher.plan() if not higher.shelf.is_done(s)]
    assert len(graph([asked(higher, [wanted])])) == 1
    lower = below(wanted)
    made.store.weights_path(lower).unlink()
    nodes = graph([asked(higher, [wanted])])
    assert {n.settings.run for n in nodes.values()} == {wanted.run, lower.run}
    made.store.weights_path(below(lower)).unlink()
    assert len(graph([asked(higher, [wanted])])) == 3


def test_a_slower_model_starts_first(tmp_path):
    cnn = study(tmp_path / "demo", ladder=(0.5, 0.75))
    lstm = study(tmp_path / "demo", models=("lstm",), ladder=(0.5,), arms=("lt",), hidden=4)
    nodes = graph([asked(made) for made in (cnn, lstm)])
    measure(nodes, {("demo-reviews", "cnn"): 2.0, ("demo-reviews", "lstm"): 50.0})
    first = max(nodes.values(), key=lambda node: node.height)
    assert (first.settings.model, first.height) == ("lstm", 100.0)
    measure(nodes, {("demo-reviews", "cnn"): 2.0})
    assert max(n.height for n in nodes.values()) == 3, "where one is not known, runs are counted"


def test_records_say_how_long_a_run_takes(tmp_path):
    made = study(tmp_path / "demo")
    assert usual_seconds([made.store]) == {}
    seconds = [record.seconds for record in made.run()]
    found = usual_seconds([made.store, made.store])
    assert found == {("demo-reviews", "cnn"): pytest.approx(sum(seconds) / 3)}
    higher = study(tmp_path / "demo", ladder=(0.5, 0.75), arms=("lt",))
    ((_, node),) = graph([asked(higher, higher.plan()[-1:])]).items()
    assert node.height == found["demo-reviews", "cnn"]


# What travels


@given(
    arrays.arrays("float32", st.tuples(st.integers(2, 9), st.integers(1, 9)), unique=False),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1),
)
def test_what_travels_arrives(values, seed, share):
    weight = torch.from_numpy(values)
    tensors = {"a.weight": weight, "a.bias": weight[0].clone(), "embedding.weight": weight + 1}
    mask = full_mask(tensors)
    draw = torch.Generator().manual_seed(seed)
    for part in prunable(mask).values():
        part.copy_(torch.rand(part.shape, generator=draw) > share)
    for name, part in mask.items():
        tensors[name] = tensors[name].masked_fill(~part, 0.0)
    whole = tensors | named(mask)
    back = unpacked(packed(whole))
    assert back.keys() == whole.keys()
    for name, tensor in whole.items():
        assert tensor.dtype == back[name].dtype and tensor.shape == back[name].shape
        assert tensor.numpy().tobytes() == back[name].numpy().tobytes(), "to the bit, NaN and all"


class OneShelf:
    """Of a single run and its θ₃."""

    def __init__(self, weights, mask):
        self.trained = lambda settings, epoch: (weights, mask)
        self.rewound = lambda dense, step: {"w": torch.full((2,), float(step))}


def test_what_a_run_stands_on_is_sent_whole_and_nothing_else(tmp_path):
    made = study(tmp_path / "demo", ladder=(0.5,), arms=("lt",), rewind_step=3)
    dense, ticket = made.plan()
    mask = {"a.weight": torch.tensor([[True, False], [True, True]])}
    tensors = {"a.weight": torch.tensor([[1.0, 0.0], [2.0, 3.0]]), "a.bias": torch.ones(2)}
    sent = SentShelf.of(OneShelf(tensors, mask), needs(ticket), "last")
    found, its_mask = sent.trained(dense, "last")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert torch.equal(its_mask["a.weight"], mask["a.weight"])
    assert torch.equal(sent.rewound(dense, 3)["w"], torch.full((2,), 3.0))
    for missing in (lambda: sent.trained(dense, "best"), lambda: sent.rewound(dense, 4)):
        with pytest.raises(Gone):
            missing()


def test_pruned_weights_do_not_travel():
    mask = {"w.weight": torch.zeros(1000, 100, dtype=torch.bool)}
    mask["w.weight"][0] = True
    small = packed({"w.weight": torch.ones(1000, 100)} | named(mask))
    assert sum(values.nbytes for _, values in small.values()) == 100 * 4 + 100_000 // 8


def test_workers_get_the_source_of_what_is_from_outside(tmp_path, make):
    """Jobs and a cluster that sees no disk of ours train what this process alone has defined."""
    options = {"models": ("bag",), "arms": ("lt", "signs"), "score": "mine"}
    with nothing_left():
        for number, text in enumerate((SCORE, ARM, MODEL)):
            run(text, f"<cell {number}>")
        here = study(tmp_path / "here", (0.5, 0.75), **options)
        records = here.run()
        jobs = study(tmp_path / "jobs", (0.5, 0.75), jobs=2, **options)
        assert {r.run for r in jobs.run()} == {r.run for r in records}
        same(jobs.store, here.store)

        apart, far = make(), Store(tmp_path / "far")
        apart.add("--name", "far", "--no-nanny", blind=far.root)
        apart.wait()
        study(far.root, (0.5,), client=apart.address, **options).run()
        # The same worker is then sent another rule by the same name.
        run(SCORE.replace("1e-3", "2e-3"), "<cell 9>")
        again = study(far.root, (0.5,), client=apart.address, **options)
        again.run()
        edited = [s for s in again.plan() if s.rung]
        assert all(far.get(s).worker == "far" for s in edited)
        assert len(content(far)) == 5, "dense once, each arm by both rules"
        inside = study(tmp_path / "inside", (0.5,), **options)
        inside.run()
        one, other = content(far), content(inside.store)
        for name, values in other.items():
            for key in ELSEWHERE:
                values.pop(key), one[name].pop(key)
            assert values == one[name]


def test_a_worker_refuses_another_source(tmp_path, make, monkeypatch):
    sent = caller.sources

    def lying(settings):
        return [replace(one, text=one.text.replace("1e-3", "2e-3")) for one in sent(settings)]

    monkeypatch.setattr(caller, "sources", lying)
    cluster = make()
    cluster.add("--name", "far", "--no-nanny")
    cluster.wait()
    with nothing_left():
        run(SCORE, "<cell>")
        made = study(tmp_path, (0.5,), ("lt",), score="mine", client=cluster.address)
        with pytest.raises(
            UserError, match=r"worker .*the source sent as score mine .* is another"
        ):
            made.run()
    assert [r.settings.arm for r in made.store.records()[0]] == ["dense"]
