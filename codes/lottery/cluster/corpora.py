"""The corpora of a study's runs on a cluster: sent where not every worker has them on a disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from distributed import Client, Future

from lottery.cluster.connect import await_worker
from lottery.cluster.graph import Work
from lottery.cluster.job import CorpusRef
from lottery.data import Corpus

Texts = tuple[Work, str]  # a study, and one of its datasets


class Corpora:
    """What the workers are told of each corpus, and those that were sent to them."""

    def __init__(self, client: Client, say: Callable[[str], object]) -> None:
        self.client, self.say = client, say
        self.found: dict[Texts, tuple[Corpus, CorpusRef]] = {}
        self.sent: dict[str, tuple[Texts, Future, float]] = {}  # by name: what, where, since when

    def find(self, of: Texts, corpus: Corpus) -> None:
        """See whether all workers have a corpus on a disk, and send it if not."""
        self.found[of] = corpus, (ref := CorpusRef.of(corpus))
        if ref.name not in self.sent and not all(self.client.run(ref.here).values()):
            self.send(of)

    def send(self, of: Texts) -> None:
        """Publish a corpus on the cluster; each worker fetches it once."""
        corpus, ref = self.found[of]
        name, now = ref.name, time.monotonic()
        if name in self.sent and now - self.sent[name][2] < 5:
            return  # several runs have missed it at once
        await_worker(self.client, self.say)
        self._unpublish(name)
        (texts,) = self.client.scatter([replace(corpus, file=None)], hash=False)
        self.client.publish_dataset(texts, name=name)
        self.sent[name] = of, texts, now

    def renew(self) -> None:
        """Send again what died with its last holder."""
        for of, texts, _ in list(self.sent.values()):
            if texts.status != "finished" and self.client.nthreads():
                self.send(of)

    def withdraw(self) -> None:
        """Take all of them off the cluster."""
        for name in self.sent:
            self._unpublish(name)

    def _unpublish(self, name: str) -> None:
        if name in self.client.list_datasets():
            self.client.unpublish_dataset(name)
