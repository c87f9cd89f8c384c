"""nitamono beside other stores of vectors: `python -m bench.peers --help`.

Each peer stores the same random listings, with the same vectors, and answers the same items under the same
filters (for sale, currency, price band): inside its search where it can, in Python afterwards where it
cannot. Its candidates are then ranked by the terms that nitamono ranks by, so answers are comparable. The
item's vector and fields are given to every peer but those on Elasticsearch, which read them.

Writes `index.html` and `figures.json`. `make peers` installs the libraries; nitamono and three stages need
ELASTICSEARCH_URL.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from bench.catalogue import Catalogue, synthetic_catalogue
from bench.peers.measure import Measured, measured, peer_in
from bench.peers.page import Comparison, write_page
from bench.peers.peer import Market, Peer
from bench.peers.registry import NAMES, NotInstalled, peer_class
from bench.query import sampled
from mappings.listing import Status

HELD_BACK = 5
"""Listings that are added after the searches, one after the other."""


def with_twins(catalogue: Catalogue, count: int = HELD_BACK) -> Catalogue:
    """The catalogue and, at its end, copies of its first listings under other ids, for sale."""
    listings = [
        listing.model_copy(update={"item_id": f"new-{listing.item_id}", "status": Status.ON_SALE})
        for listing in catalogue.listings[:count]
    ]
    vectors = np.concatenate([catalogue.vectors, catalogue.vectors[:count]])
    return replace(catalogue, listings=[*catalogue.listings, *listings], vectors=vectors)


def compare(catalogue: Catalogue, count: int, names: Sequence[str], folder: Path) -> Comparison:
    """Measure the peers one after the other; those that are not installed are named.

    count: of query items. folder: where peers keep their files meanwhile.
    """
    items, catalogue = sampled(catalogue, count), with_twins(catalogue)
    found, missing = [], []
    for name in names:
        try:
            kind = peer_class(name)
        except NotInstalled as error:
            missing.append(str(error))
            continue
        found.append(_measured(kind, catalogue, items, folder))
    return Comparison(
        len(catalogue.listings) - HELD_BACK, len(items), machine(), tuple(found), tuple(missing)
    )


def _measured(kind: type[Peer], catalogue: Catalogue, items: Sequence[str], folder: Path) -> Measured:
    print(f"{kind.name} …", file=sys.stderr, flush=True)
    market = Market(catalogue, HELD_BACK)
    exact = [market.oracle.answer(item_id) for item_id in items]
    queries = [market.oracle.position[item_id] for item_id in items]
    peer = peer_in(kind, market, folder)
    result = measured(peer, queries, exact)
    shutil.rmtree(peer.folder)
    print(json.dumps(asdict(result)), flush=True)
    return result


def machine() -> str:
    """What it ran on."""
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    """Write the page and the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--synthetic", type=int, metavar="N", default=100_000, help="default: %(default)s")
    parser.add_argument("--items", type=int, default=200, help="number of query items (default: %(default)s)")
    parser.add_argument("--peers", default=",".join(NAMES), help="default: %(default)s")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    given = parser.parse_args()
    names = given.peers.split(",")
    if unknown := set(names) - set(NAMES):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; the peers are {', '.join(NAMES)}")
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.output) as name:
        comparison = compare(synthetic_catalogue(given.synthetic), given.items, names, Path(name))
    figures = json.dumps(asdict(comparison), indent=1)
    (given.output / "figures.json").write_text(figures, encoding="utf-8")
    if comparison.peers:
        write_page(comparison, given.output / "index.html")
    for reason in comparison.missing:
        print(f"not measured: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
