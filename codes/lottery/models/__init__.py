"""Token ids to logits. A model is one class, with its own costs, and one line in `MODELS`.

What stands here may be used elsewhere.
"""

from lottery.models.registry import MODELS, build, check_form, check_logits, draw, label

__all__ = ["MODELS", "build", "check_form", "check_logits", "draw", "label"]
