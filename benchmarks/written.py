"""The figures of a benchmark as markdown."""

from __future__ import annotations

from typing import Any

import corpora
import pruned
from corpora import SHAPES, SHARES
from pruned import DECAY
from rivals import RIVALS

from lottery.data import sources


def written(figures: dict[str, Any]) -> str:
    """The figures as markdown."""
    pairs = [(model, name) for name in SHAPES for model in RIVALS]

    def titled(model: str, name: str) -> str:
        generated = " (generated)" if figures[f"data.{name}"] == "generated" else ""
        return f"{model.upper()}, {sources.DATASETS[name].title}{generated}"

    def of(name: str, form: str) -> list[str]:
        return [form.format(figures[f"{model}.{data}.{name}"]) for model, data in pairs]

    compared = []
    for end, decay in (("", "0"), (".decay", f"{DECAY:g}")):
        for model, name in pairs:
            for rival in RIVALS[model]:
                keys = "ms_{}", "ms_ours", "ratio_{}", "ratio_{}_q25", "ratio_{}_q75"
                row = [figures[f"{model}.{name}{end}.{key.format(rival)}"] for key in keys]
                form = "{:,.1f}|{:,.1f}|{:.1f}|{:.1f} to {:.1f}".format(*row)
                compared.append([titled(model, name), rival, decay, *form.split("|")])
    own = [
        ["tokens a step", *of("tokens", "{:,.0f}")],
        ["different words a step", *of("words", "{:,.0f}")],
        ["forward, ms", *of("ms_forward", "{:.1f}")],
        ["loss and backward, ms", *of("ms_backward", "{:.1f}")],
        ["Adam, ms", *of("ms_adam", "{:.1f}")],
        ["batching and counting, ms", *of("ms_rest", "{:.1f}")],
        ["GFLOP of matrix products", *of("gflop", "{:.2f}")],
        ["share of the sgemm rate", *of("sgemm_fraction", "{:.0%}")],
        ["texts a second, evaluation", *of("eval_texts_per_second", "{:,.0f}")],
    ]
    for share in SHARES:
        part = f"1/{1 / share:.0f} of the corpus" if share < 1 else "whole corpus"
        key = f"ns_per_token.corpus_1_{1 / share:.0f}"
        own.append([f"ns a token, {part}", *of(key, "{:,.0f}")])
    for size in corpora.SIZES:
        own.append([f"ns a token, batch {size}", *of(f"ns_per_token.batch_{size}", "{:,.0f}")])
    tickets = [
        [titled(model, name), *row]
        for model, name in pairs
        for row in pruned.table(figures, f"sparse.{model}.{name}")
    ]
    kept = [f"{share:.4g}" for share in pruned.SPARSITIES]
    engine = f"ONNX Runtime, {pruned.OF_BATCHES:.4g}"
    batch = [f"{size}" for size in pruned.BATCHES]
    by_size = [
        [titled(model, name), *(_ratio(figures, model, name, size) for size in pruned.BATCHES)]
        for model, name in pairs
    ]
    csr = [f"{figures[f'sparse.torch.ms_csr.{share:g}']:.2f}" for share in pruned.SPARSITIES]
    heads = ["model, texts", "way", "decay", "its ms a step", "ours", "ratio", "quartiles"]
    memory = [figures["memory.ours_mib"], figures["memory.all_mib"]]
    ours_mib, all_mib = ("unknown" if m is None else f"{m:,.0f} MiB" for m in memory)
    return "\n".join(
        [
            _table(heads, compared),
            "",
            f"Medians of {figures['rounds']} rounds of {figures['steps']} steps each; of the LSTMs "
            "on IMDb a fifth of the steps.",
            "",
            _table(
                [
                    "Adam with decay, IMDb CNN",
                    *(f"{share:.4g}" for share in (0.0, *pruned.SPARSITIES)),
                    "memory",
                ],
                [
                    [
                        "ms a step",
                        *(
                            f"{figures[f'adam.ms.{share:g}']:.2f}"
                            for share in (0.0, *pruned.SPARSITIES)
                        ),
                        f"{figures['adam.ms_memory']:.2f}",
                    ]
                ],
            ),
            "",
            _table(["tickets, ms (dense over ticket)", "", "dense", *kept, engine], tickets),
            "",
            _table([f"inference at {pruned.OF_BATCHES:g}, texts a batch", *batch], by_size),
            "",
            _table(
                ["100 recurrent products of torch, ms", "dense", *(f"CSR {s}" for s in kept)],
                [["64 texts, 128 units", f"{figures['sparse.torch.ms_dense']:.2f}", *csr]],
            ),
            "",
            _table(["ours", *(titled(*pair) for pair in pairs)], own),
            "",
            f"- {figures['machine.cpu']}, {figures['machine.threads']} threads, PyTorch "
            f"{figures['machine.torch']} ({figures['machine.vectors']}), BLAS "
            f"{figures['machine.blas']}: {figures['machine.sgemm_gflops']:,.0f} GFLOP/s",
            f"- peak memory {ours_mib} of ours, {all_mib} of all ways",
            f"- {figures['tokenise.seconds']:.1f} s to tokenise "
            f"{figures['tokenise.texts']:,} reviews",
        ]
    )


def _ratio(figures: dict[str, Any], model: str, name: str, size: int) -> str:
    key = f"sparse.{model}.{name}.inference_ratio.{pruned.OF_BATCHES:g}.batch_{size}"
    return f"{figures[key]:.2f}×"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", "---", *["---:"] * (len(heads) - 2)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
