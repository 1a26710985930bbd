"""The networks by name, and their weights on disk."""

from __future__ import annotations

from typing import Any

import keras

NETWORKS = ("light", "paper")


def build(network: str, input_size: int = 128, **options: Any) -> keras.Model:
    """Build "light" or "paper" for crops of 128 or 256 px; `options` go to its builder. Raises ValueError for others."""
    if network == "light":
        from regnet.light import build_light

        return build_light(input_size, **options)
    if network == "paper":
        from regnet.paper import build_paper

        return build_paper(input_size, **options)
    raise ValueError(f"the network is light or paper, not {network!r}")
