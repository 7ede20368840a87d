"""Load a ticket with PyTorch's own layers alone; all that is needed stands in this file."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn


class CNN(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.embedding = nn.Embedding(size["words"], size["embedding_size"])
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size["embedding_size"], size["filters"], width) for width in size["widths"]
        )
        self.output = nn.Linear(size["filters"] * len(size["widths"]), size["outputs"])

    def forward(self, ids, lengths):  # (B, longest) padded with 0, (B,) -> logits (B, outputs)
        longest = max(ids.shape[1], *(c.kernel_size[0] for c in self.convolutions))
        ids = nn.functional.pad(ids, (0, longest - ids.shape[1]))
        there = torch.arange(longest, device=ids.device) < lengths[:, None]
        words = (self.embedding(ids) * there[..., None]).transpose(1, 2)
        pooled = []
        for convolution in self.convolutions:
            answer = convolution(words)
            windows = (lengths - convolution.kernel_size[0]).clamp(min=0) + 1
            past = torch.arange(answer.shape[2], device=ids.device) >= windows[:, None]
            pooled.append(answer.masked_fill(past[:, None], -torch.inf).amax(2))
        return self.output(torch.cat(pooled, 1).relu())


class LSTM(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.embedding = nn.Embedding(size["words"], size["embedding_size"])
        both, self.pooling = size["directions"] == 2, size["pooling"]
        self.lstm = nn.LSTM(
            size["embedding_size"], size["hidden"], size["layers"], bidirectional=both
        )
        self.output = nn.Linear(size["directions"] * size["hidden"], size["outputs"])

    def forward(self, ids, lengths):  # (B, longest) padded with 0, (B,) -> logits (B, outputs)
        words = self.embedding(ids).transpose(0, 1)
        packed = nn.utils.rnn.pack_padded_sequence(words, lengths.cpu(), enforce_sorted=False)
        states, (last, _) = self.lstm(packed)
        if self.pooling == "last":
            directions = 2 if self.lstm.bidirectional else 1
            return self.output(last[-directions:].transpose(0, 1).flatten(1))
        fill = -torch.inf if self.pooling == "max" else 0.0
        states, _ = nn.utils.rnn.pad_packed_sequence(states, True, padding_value=fill)
        best = states.amax(1) if self.pooling == "max" else states.sum(1) / lengths[:, None]
        return self.output(best)


MODELS = {"cnn": CNN, "lstm": LSTM}


def unpack(values, bits, shapes):
    """Tensors from the values that the masks keep; a mask is its bits, eight a byte."""
    tensors = {}
    for name, shape in shapes.items():
        tensors[name] = torch.zeros(shape)
        mask = torch.ones(tensors[name].numel(), dtype=torch.bool)
        if name in bits:
            mask = (bits[name][:, None] >> torch.arange(7, -1, -1) & 1).flatten()[: len(mask)] == 1
        tensors[name].masked_scatter_(mask.view(shape), values[name])
    return tensors


def load(folder):
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    values = load_file(folder / "model.safetensors")
    bits = load_file(folder / "mask.safetensors")
    model = MODELS[config["model"]](config["size"])
    model.load_state_dict(unpack(values, bits, config["shapes"]))
    return model.eval()
