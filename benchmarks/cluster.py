"""What Dask costs and brings: engines side by side, overhead of a run, bytes that travel.

python benchmarks/cluster.py engines --dataset imdb --rounds 3
python benchmarks/cluster.py overhead --runs 2000 --workers 16
python benchmarks/cluster.py bytes
python benchmarks/cluster.py caller
python benchmarks/cluster.py steps
"""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil

from lottery import files, models
from lottery.cluster import caller as cluster
from lottery.cluster.graph import Work, graph
from lottery.experiment.run import build, cut
from lottery.files import root
from lottery.pruning.masks import full_mask, prune
from lottery.runs.checkpoints import bundle, named, packed, tested, unpacked
from lottery.runs.store import Store
from lottery.study import Study
from lottery.training.adam import Adam
from lottery.training.epoch import Progress, evaluate, train_epoch

STEPS = {
    ("imdb", "cnn"): 300,
    ("agnews", "cnn"): 600,
    ("imdb", "lstm"): 40,
    ("agnews", "lstm"): 150,
}
SECOND = 1.0  # each run of `overhead` takes so long at least: see one_second.py


def engines(dataset: str, epochs: int, rounds: int) -> pd.DataFrame:
    """The same ten trainings (two seeds, two rungs, lt and random) in turns, whole commands."""
    ways = {
        "in the process, 2 threads": ["--threads", "2"],
        "--jobs 1": ["--jobs", "1"],
        "--jobs 2": ["--jobs", "2"],
    }
    rows = []
    for _ in range(rounds):
        taken = {}
        for way, arguments in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "lottery.cli", "run", dataset, "cnn", *arguments]
                command += ["--sparsity", "0.5", "0.75", "--seed", "0", "1"]
                # The name keeps demo corpora apart from real ones.
                command += ["--epochs", str(epochs), "--results", f"{folder}/demo"]
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                taken[way] = time.perf_counter() - start
                assert len(Store(Path(folder) / "demo").paths()) == 10
        print(taken, file=sys.stderr, flush=True)
        rows.append(taken)
    frame = pd.DataFrame(rows)
    base = frame["--jobs 1"]
    return pd.DataFrame(
        {
            "seconds (median)": frame.median().round(1),
            "times --jobs 1 (median of pairs)": [
                round(statistics.median(base / frame[way]), 2) for way in frame
            ],
            "least": [round((base / frame[way]).min(), 2) for way in frame],
            "most": [round((base / frame[way]).max(), 2) for way in frame],
        }
    ).rename_axis("way")


def overhead(runs: int, workers: int) -> dict[str, float]:
    """Real but tiny runs, each a second long, on workers that mostly sleep."""
    each = 13  # a seed of six rungs, lt and random
    folder = Path(tempfile.mkdtemp())
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    own = ["--scheduler-file", str(file), "--no-dashboard", "--host", "127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    scheduler = subprocess.Popen([*dask, "scheduler", "--port", "0", *own], **quiet)
    setup = ["--nthreads", "1", "--preload", str(Path(__file__).resolve().parent / "one_second.py")]
    nanny = subprocess.Popen([*dask, "worker", "--nworkers", str(workers), *setup, *own], **quiet)
    try:
        while not file.exists():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        with cluster.Client(address) as client:
            client.wait_for_workers(workers, timeout=300)
            study = Study(
                "demo-reviews",
                ["cnn"],
                (0.5, 0.75, 0.875, 0.9375, 0.969, 0.984),
                seeds=range(-(-runs // each)),
                store=Store(folder / "demo"),
                client=client,
                device="cpu",
                threads=1,
                say=lambda line: None,
                epochs=1,
                embedding_size=8,
                filters=8,
                vocabulary_size=200,
                max_tokens=8,
            )
            _ = study.corpus
            mine, theirs = psutil.Process(), psutil.Process(scheduler.pid)
            memory = watch(mine)
            start, cpu = time.perf_counter(), (cpu_of(mine), cpu_of(theirs))
            done = study.run()
            wall = time.perf_counter() - start
            memory = memory()
        number = len(done)
        return {
            "runs": number,
            "workers": workers,
            "wall, s": wall,
            "overhead of a run on its worker, ms": 1000 * (wall * workers / number - SECOND),
            "caller's CPU a run, ms": 1000 * (cpu_of(mine) - cpu[0]) / number,
            "scheduler's CPU a run, ms": 1000 * (cpu_of(theirs) - cpu[1]) / number,
            **{f"caller's memory at {p} %, MB": memory[p] for p in (10, 50, 90, 100)},
        }
    finally:
        for process in (nanny, scheduler):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def watch(process: psutil.Process) -> Callable[[], dict[int, float]]:
    """Note a process's resident memory every half second; give it at shares of the time."""
    import threading

    noted, stop = [], threading.Event()

    def note() -> None:
        while not stop.wait(0.5):
            noted.append(process.memory_info().rss / 1e6)

    thread = threading.Thread(target=note, daemon=True)
    thread.start()

    def shares() -> dict[int, float]:
        stop.set()
        thread.join()
        return {p: noted[min(len(noted) - 1, p * len(noted) // 100)] for p in (10, 50, 90, 100)}

    return shares


def travels() -> pd.DataFrame:
    """Bytes of a run's order and answer, for the models of the IMDb study."""
    rows = []
    ladder = (0.5, 0.75, 0.875, 0.9375, 0.969, 0.984)
    for model in ("cnn", "lstm"):
        study = Study("imdb", [model], ladder, say=lambda line: None, device="cpu")
        built = models.build(study.settings(model, "dense", 0, 0), 25_000, 1)
        weights = models.draw(built, 0)
        mask = full_mask(weights)
        for rung in range(len(ladder) + 1):
            arm = "lt" if rung else "dense"
            settings = study.settings(model, arm, rung, 0)
            if rung:
                sizes = {name: weights[name].abs() for name in mask}
                mask = prune(sizes, mask, ladder[:rung])  # these are first values: by layer
            kept = {n: w.masked_fill(~mask[n], 0) if n in mask else w for n, w in weights.items()}
            answer = packed(bundle(mask, kept, kept))
            row = {"model": model, "sparsity": ladder[rung - 1] if rung else 0.0}
            row["to the rung above, apart"] = len(pickle.dumps(packed(kept | named(mask))))
            row["to the worker, common disk"] = len(pickle.dumps(settings))
            row["back"] = len(pickle.dumps(answer))
            alone = tested(answer)
            row["back, arms that none stands on"] = len(pickle.dumps(alone))
            row["tested network on disk"] = sum(part.nbytes for _, part in alone.values())
            row["all weights on disk"] = sum(t.nbytes for t in bundle(mask, kept, kept).values())
            rows.append(row)
    return pd.DataFrame(rows)


def caller() -> dict[str, float]:
    """What the caller does for one run of the IMDb CNN, and what its graph and records ask."""
    study = Study("imdb", ["cnn"], (0.5,), seeds=range(2000), say=lambda line: None, device="cpu")
    dense = study.plan()[0]
    built = models.build(dense, 25_000, 1)
    weights, found = models.draw(built, 0), {}
    mask = full_mask(weights)
    answer = packed(bundle(mask, weights, weights))
    with tempfile.TemporaryDirectory() as folder:
        path = Store(Path(folder) / "results").weights_path(dense)

        def pack() -> None:
            packed(weights | named(mask))

        def keep() -> None:
            facts = {"run": dense.run, "data": "0" * 64}
            files.save(path, unpacked(answer), facts)

        for name, work in (("pack what a rung stands on", pack), ("keep a dense run", keep)):
            work()
            cpu, wall = [], []
            for _ in range(9):
                start = time.process_time(), time.perf_counter()
                work()
                cpu.append(time.process_time() - start[0])
                wall.append(time.perf_counter() - start[1])
            found[f"{name}, CPU ms"] = 1000 * statistics.median(cpu)
            found[f"{name}, wall ms"] = 1000 * statistics.median(wall)
        tracemalloc.start()
        nodes = graph([Work(study.shelf, study.plan(), study.corpora)])
        found["memory of the graph, kB a run"] = (
            tracemalloc.get_traced_memory()[0] / len(nodes) / 1e3
        )
        tracemalloc.stop()
    records = Store(root() / "results")
    start, read = time.process_time(), records.records()[0]
    found["reading a record, CPU ms"] = 1000 * (time.process_time() - start) / max(len(read), 1)
    found["corpus, MB"] = (
        sum(
            getattr(part, name).nbytes
            for part in (study.corpus.train, study.corpus.valid, study.corpus.test)
            for name in ("tokens", "offsets", "labels")
        )
        / 1e6
    )
    return found


def steps() -> pd.DataFrame:
    """A training step on one thread, on two, and on one thread in two processes at once."""
    rows = []
    for dataset in ("imdb", "agnews"):
        for model in ("cnn", "lstm"):
            for _ in range(3):
                for way, processes, threads in (("1", 1, 1), ("2", 1, 2), ("1 + 1", 2, 1)):
                    for ms, evaluation in at_once(processes, dataset, model, threads):
                        rows.append((dataset, model, way, ms, evaluation))
    columns = ["dataset", "model", "threads", "ms a step", "test, s"]
    return pd.DataFrame(rows, columns=columns).groupby(columns[:3], sort=False).median()


def at_once(processes: int, dataset: str, model: str, threads: int) -> list[tuple[float, float]]:
    """The same steps in so many processes, begun together."""
    command = [sys.executable, __file__, "step", "--dataset", dataset, "--model", model]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    begun = [
        subprocess.Popen([*command, "--threads", str(threads)], **pipes) for _ in range(processes)
    ]
    for process in begun:
        process.stdout.readline()  # it is warm
    for process in begun:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [tuple(map(float, process.communicate()[0].split())) for process in begun]


def step(dataset: str, model: str, threads: int) -> None:
    """Print milliseconds a step and seconds of a pass over the test set."""
    study = Study(dataset, [model], device="cpu", threads=threads, say=lambda line: None)
    settings = study.settings(model, "dense", 0, 0)
    texts = cut(study.corpus, settings.max_tokens)
    built = build(settings, texts)
    built.load_state_dict(models.draw(built, 0))
    adam, count = Adam(dict(built.named_parameters()), None, 1e-3), STEPS[dataset, model]
    train_epoch(built, adam, texts.train, settings, 1, Progress(), 10)
    print("warm", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    train_epoch(built, adam, texts.train, settings, 2, Progress(), count)
    middle = time.perf_counter()
    evaluate(built, texts.test)
    print(1000 * (middle - start) / count, time.perf_counter() - middle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["engines", "overhead", "bytes", "caller", "steps", "step"])
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dataset", default="demo-reviews")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=16)
    asked = parser.parse_args()
    if asked.what == "engines":
        print(engines(asked.dataset, asked.epochs, asked.rounds).to_string())
    elif asked.what in ("overhead", "caller"):
        found = caller() if asked.what == "caller" else overhead(asked.runs, asked.workers)
        for name, value in found.items():
            print(f"{name:<40} {value:10.2f}")
    elif asked.what == "steps":
        print(steps().round(2).to_string())
    elif asked.what == "step":
        step(asked.dataset, asked.model, asked.threads)
    else:
        print(travels().to_string(index=False))


if __name__ == "__main__":
    main()
