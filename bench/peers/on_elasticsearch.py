"""nitamono and its three-stage predecessor, on a real Elasticsearch."""

from __future__ import annotations

import os
from abc import abstractmethod
from contextlib import ExitStack
from dataclasses import replace

from elasticsearch import Elasticsearch

from bench.catalogue import actions, loaded, merge
from bench.peers.peer import EFFORTS, Effort, Peer
from bench.query import Method, one_search, three_stages
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import IndexOptions
from query.search.builder import KnnParameters


class OnElasticsearch(Peer):
    """The catalogue in an index of its own, in one segment; the server is that of ELASTICSEARCH_URL."""

    persists = True

    def build(self) -> None:
        """Load and merge the index."""
        settings = ElasticsearchSettings.from_environ(os.environ)
        self._prefix = f"bench-peers-{os.getpid()}"
        self._methods: dict[Effort, Method] = {}
        self._open = ExitStack()
        catalogue = self.market.catalogue
        built = replace(
            catalogue,
            listings=catalogue.listings[: self.market.built],
            vectors=catalogue.vectors[: self.market.built],
        )
        client = connect(replace(settings, prefix=self._prefix, timeout_s=60))
        self._es = self._open.enter_context(client)
        index = loaded(self._es, self._prefix, built, IndexOptions())
        self._index = self._open.enter_context(index)
        merge(self._es, self._index)

    @abstractmethod
    def method(self, es: Elasticsearch, prefix: str, effort: Effort) -> Method:
        """The method of bench.query with this effort."""

    def answer(self, query: int, effort: Effort) -> list[str]:
        """The answer by the item's id, its document read first."""
        if effort not in self._methods:
            self._methods[effort] = self.method(self._es, self._prefix, effort)
        return self._methods[effort](self.market.oracle.ids[query])

    def write(self, row: int) -> None:
        """Index one document; it shows after the next refresh, of which there is one a second."""
        catalogue = self.market.catalogue
        price = float(self.market.oracle.columns.price[row])
        listing = catalogue.listings[row].model_copy(update={"price": price})
        one = replace(catalogue, listings=[listing], vectors=catalogue.vectors[row : row + 1])
        (action,) = actions(self._index, one)
        self._es.index(index=self._index, id=action["_id"], document=action["_source"])

    def size(self) -> int:
        """Bytes of the index."""
        stats = self._es.indices.stats(index=self._index, metric="store")
        return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])

    def close(self) -> None:
        """Delete the index."""
        self._open.close()


class Nitamono(OnElasticsearch):
    """The service, without the result policy, which no peer has."""

    name = "nitamono"
    filters = True
    note = "On Elasticsearch, a server process. Reads the item, then one search that filters and re-ranks."
    efforts = tuple(Effort(k, by_leaf=True) for k in (50, 100, 200))

    def method(self, es: Elasticsearch, prefix: str, effort: Effort) -> Method:
        """One search."""
        return one_search(es, prefix, KnnParameters(effort.k, 2 * effort.k))


class ThreeStages(OnElasticsearch):
    """The nearest K, then filters and ranking in Python."""

    name = "three stages on Elasticsearch"
    filters = False
    note = "Reads the item, searches the nearest K, then filters and re-ranks in Python."
    efforts = tuple(effort for effort in EFFORTS if not effort.by_leaf)

    def method(self, es: Elasticsearch, prefix: str, effort: Effort) -> Method:
        """Three stages."""
        return three_stages(es, prefix, self.market.oracle.calibration, effort.k)
