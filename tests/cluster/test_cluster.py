"""The same runs on many processes: the same records, and nothing lost whoever dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace

import dask
import pytest
from distributed import Client

from helpers import children
from helpers.children import Child, study
from helpers.engines import ELSEWHERE, LADDER, begun, same, states, until
from helpers.plugins import ARM, MODEL, SCORE, nothing_left
from helpers.stores import content
from lottery import cli
from lottery.cluster import caller
from lottery.files import UserError
from lottery.plugins.source import run
from lottery.runs.store import Store
from lottery.study import run_all

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals"),
]


def test_records_do_not_depend_on_the_engine(tmp_path, make):
    here = study(tmp_path / "here", **LADDER)
    records = here.run()
    late = study(tmp_path / "here", ladder=(0.5, 0.75), arms=("lt",), rewind_step=3)
    late.run()

    jobs = study(tmp_path / "jobs", jobs=2, **LADDER)
    again = study(tmp_path / "jobs", ladder=(0.5, 0.75), arms=("lt",), rewind_step=3, jobs=2)
    run_all([jobs, again])
    assert {r.run for r in jobs.records()} == {r.run for r in records}
    same(jobs.store, here.store)
    assert {r.worker for r in jobs.records()} <= {"0", "1"}

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


def test_a_worker_with_other_code_is_refused(tmp_path, make):
    one = make()
    one.add("--no-nanny", code=1)
    with pytest.raises(UserError, match="runs other code") as caught:
        study(tmp_path / "demo", client=one.address).run()
    assert "\n" not in str(caught.value)


def test_a_worker_that_comes_later_without_the_disk_is_sent_everything(tmp_path, make):
    quiet = study(tmp_path / "quiet", epochs=2, **LADDER)
    quiet.run()
    one, store, both = make(), Store(tmp_path / "demo"), tmp_path / "both"
    one.add("--no-nanny", trained=tmp_path / "begun", hold=both)
    more = ("--scheduler", one.address, "--sparsity", "0.5", "0.75")
    child = Child(children.run(store.root, *more, arms=LADDER["arms"]), tmp_path / "log")
    until(lambda: begun(tmp_path / "begun"))
    one.add("--no-nanny", "--name", "late", blind=store.root)
    one.wait()
    both.touch()
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
        soon = {"distributed.comm.timeouts.connect": "2s"}
        with dask.config.set(soon), pytest.raises(UserError, match=words) as caught:
            study(tmp_path / "demo", **more).run()
        assert "\n" not in str(caught.value)
        # A client that nobody answered is closed, not left to the garbage collector.
        assert "IO loop" not in [thread.name for thread in threading.enumerate()]


def test_dask_and_pandas_are_imported_by_those_alone_who_use_them(tmp_path):
    program = (
        "import sys; from lottery import cli; from helpers import children;"
        f"assert len(children.study({str(tmp_path / 'demo')!r}, epochs=1).run()) == 3;"
        "slow = {'distributed', 'dask', 'pandas', 'scipy.stats'};"
        "sys.exit(' '.join(slow & sys.modules.keys()) or 0)"
    )
    env = os.environ | {"PYTHONPATH": str(children.TESTS)}
    assert subprocess.run([sys.executable, "-c", program], env=env).returncode == 0


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


def test_what_code_from_outside_raises_on_a_worker_is_one_line(tmp_path):
    with nothing_left():
        run(SCORE.replace("w.abs() - 1e-3", "w[len(w)]"), "<cell>")
        made = study(tmp_path, (0.5,), ("lt",), score="mine", jobs=2)
        says = r"^<score mine \w+>, line \d+, `.*w\[len\(w\)\].*`: IndexError: "
        with pytest.raises(UserError, match=says):
            made.run()


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
