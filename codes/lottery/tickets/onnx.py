"""A ticket as an ONNX graph: ids (B, longest) padded with 0 and lengths (B,), to logits.

A tensor that is mostly pruned is stored sparse; ONNX Runtime makes it whole when it loads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

import numpy as np
import torch

from lottery.data.batches import Split
from lottery.files import UserError
from lottery.pruning.tickets import Weights
from lottery.settings import Settings
from lottery.tickets.ticket import Ticket, padded

MODEL = """<ir_version: 8, opset_import: ["": 17]>
ticket (int64[texts, longest] ids, int64[texts] lengths) => (float[texts, {outputs}] logits) {{
  words = Gather (embedding_weight, ids)
  {body}
  logits = Gemm <transB = 1> (pooled, output_weight, output_bias)
}}"""
CNN = """turned = Transpose <perm = [0, 2, 1]> (words)
  longer = Pad (turned, after)
  {filters}
  answers = Concat <axis = 1> ({names})
  pooled = Relu (answers)"""
# A text shorter than a filter has one window; windows past a text's end cannot win.
FILTERS = """response_{n} = Conv (longer, convolutions_{n}_weight, convolutions_{n}_bias)
  shape_{n} = Shape <start = 2, end = 3> (response_{n})
  count_{n} = Squeeze (shape_{n})
  places_{n} = Range (zero, count_{n}, one)
  spare_{n} = Sub (lengths, width_{n})
  last_{n} = Max (spare_{n}, zero)
  column_{n} = Unsqueeze (last_{n}, axis_1)
  there_{n} = LessOrEqual (places_{n}, column_{n})
  mask_{n} = Unsqueeze (there_{n}, axis_1)
  kept_{n} = Where (mask_{n}, response_{n}, least)
  best_{n} = ReduceMax <axes = [2], keepdims = 0> (kept_{n})"""
LSTM = """steps_0 = Transpose <perm = [1, 0, 2]> (words)
  short = Cast <to = 6> (lengths)
  {layers}
  {pooling}
  turned = Transpose <perm = [1, 0, 2]> (found)
  pooled = Flatten (turned)"""
LAYER = """states_{n}, final_{n} = LSTM <hidden_size = {hidden}, direction = "{direction}">
    (steps_{n}, input_{n}, recurrent_{n}, bias_{n}, short)
  in_turn_{n} = Transpose <perm = [0, 2, 1, 3]> (states_{n})
  steps_{m} = Reshape (in_turn_{n}, flat)"""
POOLING = {
    "last": "found = Identity (final_{n})",
    "mean": "sums = ReduceSum <keepdims = 0> (states_{n}, axis_0)\n"
    "  many = Cast <to = 1> (lengths)\n  column = Unsqueeze (many, axis_1)\n"
    "  found = Div (sums, column)",
    "max": "shape = Shape <start = 0, end = 1> (states_{n})\n  count = Squeeze (shape)\n"
    "  places = Range (zero, count, one)\n  column = Unsqueeze (places, axis_1)\n"
    "  there = Less (column, lengths)\n  mask = Unsqueeze (there, around)\n"
    "  kept = Where (mask, states_{n}, least)\n"
    "  found = ReduceMax <axes = [0], keepdims = 0> (kept)",
}
SPARSE = 1 / 3  # from this share kept on, 4 bytes a place are fewer than 12 a kept weight
CLOSE = 1e-4  # a logit further from ours is refused


def graph(ticket: Ticket) -> bytes:
    """The ticket's model.onnx, held against our own logits; UserError if a library is missing."""
    content = written(ticket.settings, ticket.trained)
    _check(libraries()[1].InferenceSession(content), ticket)
    return content


def written(settings: Settings, weights: Weights) -> bytes:
    """A model.onnx of these weights, zeros where pruned; UserError if a library is missing."""
    onnx, _ = libraries()
    body, values = (_cnn if settings.model == "cnn" else _lstm)(settings, weights)
    text = MODEL.format(outputs=len(weights["output.bias"]), body=body)
    model = onnx.parser.parse_model(text)
    least = np.array(-np.inf, np.float32)
    integers = {"zero": 0, "one": 1, "axis_0": [0], "axis_1": [1]}
    values |= {"least": least} | {name: np.array(v, np.int64) for name, v in integers.items()}
    for name in ("embedding.weight", "output.weight", "output.bias"):
        values[_name(name)] = weights[name].numpy()
    used = {name for node in model.graph.node for name in node.input}
    for name, value in values.items():
        if name in used:
            _keep(onnx, model.graph, name, value)
    return model.SerializeToString()


def libraries() -> tuple[ModuleType, ModuleType]:
    """`onnx` and `onnxruntime`; UserError if one is missing."""
    try:
        import onnx
        import onnx.parser
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{error}: install this project's extra `onnx`") from None
    return onnx, onnxruntime


def _cnn(settings: Settings, weights: Weights) -> tuple[str, dict[str, np.ndarray]]:
    widths = settings.widths
    numbers = range(len(widths))
    filters = "\n  ".join(FILTERS.format(n=n) for n in numbers)
    body = CNN.format(filters=filters, names=", ".join(f"best_{n}" for n in numbers))
    values = {f"width_{n}": np.array(width, np.int64) for n, width in enumerate(widths)}
    values["after"] = np.array([0, 0, 0, 0, 0, max(widths) - 1], np.int64)
    own = {_name(n): w.numpy() for n, w in weights.items() if n.startswith("conv")}
    return body, values | own


def _lstm(settings: Settings, weights: Weights) -> tuple[str, dict[str, np.ndarray]]:
    s = settings
    direction = "bidirectional" if s.directions == 2 else "forward"
    layers = "\n  ".join(
        LAYER.format(n=n, m=n + 1, hidden=s.hidden, direction=direction) for n in range(s.layers)
    )
    pooling = POOLING[s.pooling].format(n=s.layers - 1)
    values = {"flat": np.array([0, 0, -1], np.int64), "around": np.array([1, 3], np.int64)}
    for n in range(s.layers):
        ends = ("", "_reverse")[: s.directions]
        for name, kinds in {"input": ("weight_ih",), "recurrent": ("weight_hh",),
                            "bias": ("bias_ih", "bias_hh")}.items():  # fmt: skip
            values[f"{name}_{n}"] = np.stack(
                [
                    np.concatenate([_gates(weights[f"lstm.{k}_l{n}{end}"]) for k in kinds])
                    for end in ends
                ]
            )
    return LSTM.format(layers=layers, pooling=pooling), values


def _gates(stack: torch.Tensor) -> np.ndarray:
    """PyTorch's order of gates (input, forget, cell, output) to ONNX's (i, o, f, c)."""
    i, f, c, o = stack.chunk(4)
    return torch.cat([i, o, f, c]).numpy()


def _keep(onnx: ModuleType, graph, name: str, value: np.ndarray) -> None:
    flat = value.ravel()
    places = np.flatnonzero(flat)
    if value.ndim < 2 or len(places) >= SPARSE * flat.size:
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        return
    parts = [onnx.numpy_helper.from_array(flat[places], name),
             onnx.numpy_helper.from_array(places.astype(np.int64), f"{name}_places")]  # fmt: skip
    graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(*parts, list(value.shape)))


def _check(session, ticket: Ticket) -> None:
    """UserError if another runtime answers otherwise than we do."""
    random = np.random.default_rng(0)
    lengths = [1, 2, 3, *random.integers(1, min(200, ticket.settings.max_tokens) + 1, 29)]
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    ids = random.integers(1, len(ticket.contents.vocabulary), offsets[-1]).astype(np.int32)
    split = Split(ids, offsets, np.zeros(len(lengths), np.int64))
    far = float(np.abs(answer(session, split) - ticket.logits(split).numpy()).max())
    if not far <= CLOSE:
        raise UserError(f"ONNX Runtime's logits are {far:.1g} from ours; leave --onnx out")


def answer(session, split: Split) -> np.ndarray:
    """Logits (N, outputs) of an `onnxruntime.InferenceSession` for encoded texts."""
    ids, lengths = padded(split)
    inputs: Mapping[str, np.ndarray] = {"ids": ids.numpy(), "lengths": lengths.numpy()}
    return session.run(["logits"], inputs)[0]


def _name(tensor: str) -> str:
    return tensor.replace(".", "_")
