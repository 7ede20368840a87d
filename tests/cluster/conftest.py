"""Clusters that end with their test."""

from __future__ import annotations

import pytest

from helpers.dask_cluster import Cluster


@pytest.fixture
def make(tmp_path):
    made = []

    def start(**env: str) -> Cluster:
        made.append(Cluster(tmp_path / f"cluster{len(made)}", **env))
        return made[-1]

    yield start
    for each in made:
        each.close()
