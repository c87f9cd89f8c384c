"""Two nodes with a copy of the index each: the same answers from either, and from the one that is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from bench.catalogue import Catalogue, loaded, synthetic_catalogue
from demo.local_services.elasticsearch import node
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import IndexOptions
from query.search.reader import IndexReader
from query.search.request import SimilarRequest
from query.search.similar import SimilarService
from tests.conftest import RunningService, Workbench
from tests.free_port import free_port

ALONE = node.CONFIGURATION
ITEMS = [f"s{number}" for number in range(0, 2_000, 40)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningService]]:
    """A cluster of two nodes."""
    ports = [free_port(), free_port()]
    running = []
    with pytest.MonkeyPatch.context() as patch:
        for name, port in zip(("first", "second"), ports, strict=True):
            cluster = (
                f"transport.port: {port}\n"
                f"discovery.seed_hosts: ['127.0.0.1:{ports[0]}', '127.0.0.1:{ports[1]}']\n"
                "cluster.initial_master_nodes: [first]"
            )
            configuration = ALONE.replace("discovery.type: single-node", cluster).replace("{name}", name)
            patch.setattr(node, "CONFIGURATION", configuration)
            running.append(Workbench.at(tmp_path_factory.mktemp(name)).elasticsearch())
    yield running
    for each in running:
        each.kill()
        node.erase_node(each.supervisor.state)


@pytest.fixture(scope="module")
def cluster(nodes: list[RunningService]) -> Iterator[Elasticsearch]:
    """A client that knows both nodes."""
    settings = ElasticsearchSettings(tuple(each.url for each in nodes), timeout_s=60, max_retries=5)
    with connect(settings) as es:
        yield es


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Some listings of a few categories."""
    return synthetic_catalogue(2_000)


def answers(es: Elasticsearch, prefix: str) -> list[list[tuple[str, float]]]:
    """Items and scores of the answer for each of ITEMS."""
    service = SimilarService(IndexReader(es, prefix, timeout_s=60))
    found = (service.similar(item_id, SimilarRequest(size=24)) for item_id in ITEMS)
    return [[(hit.document.item_id, hit.score) for hit in each.hits] for each in found]


@pytest.mark.soak
def test_both_copies_give_the_same_answers(
    cluster: Elasticsearch, nodes: list[RunningService], catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each asked alone, and the one that is left after the other was killed."""
    with loaded(cluster, "replica", catalogue, IndexOptions()) as index:
        health = cluster.cluster.health(index=index, wait_for_status="green", timeout="60s")
        assert health["active_shards"] == 2
        usual = answers(cluster, "replica")
        assert all(usual)
        for node_id in cluster.nodes.info(metric="_none")["nodes"]:
            monkeypatch.setattr(
                "query.search.reader._preference", lambda _, node_id=node_id: f"_only_nodes:{node_id}"
            )
            assert answers(cluster, "replica") == usual
        monkeypatch.undo()
        nodes[1].kill()
        assert answers(cluster, "replica") == usual
