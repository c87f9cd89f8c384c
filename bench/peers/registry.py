"""The peers by name. The file of each imports its library, so it is imported only when asked for."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Final

from bench.peers.peer import Peer

NAMES: Final = (
    "nitamono",
    "three-stages",
    "exact",
    "lancedb",
    "chroma",
    "qdrant",
    "milvus",
    "sqlite-vec",
    "hnswlib",
    "faiss",
)


class NotInstalled(Exception):
    """The library of a peer is missing."""


def peer_class(name: str) -> type[Peer]:
    """The class of a peer, one of NAMES.

    Raises:
        NotInstalled
    """
    try:
        return _imported(name)
    except ModuleNotFoundError as error:
        message = f"{name} needs the library {error.name}, which the extra `peers` installs: `make peers`"
        raise NotInstalled(message) from error


def _imported(name: str) -> type[Peer]:  # noqa: PLR0911  one for each peer
    match name:
        case "nitamono":
            from bench.peers.on_elasticsearch import Nitamono

            return Nitamono
        case "three-stages":
            from bench.peers.on_elasticsearch import ThreeStages

            return ThreeStages
        case "exact":
            from bench.peers.exact import Exact

            return Exact
        case "lancedb":
            from bench.peers.lancedb_store import LanceDB

            return LanceDB
        case "chroma":
            from bench.peers.chroma_store import Chroma

            return Chroma
        case "qdrant":
            from bench.peers.qdrant_store import Qdrant

            return Qdrant
        case "milvus":
            from bench.peers.milvus_store import MilvusLite

            return MilvusLite
        case "sqlite-vec":
            from bench.peers.sqlite_vec_store import SqliteVec

            return SqliteVec
        case "hnswlib":
            from bench.peers.hnswlib_store import Hnswlib

            return Hnswlib
        case "faiss":
            from bench.peers.faiss_store import Faiss

            return Faiss
        case _:
            raise ValueError(f"no peer {name!r}; the peers are {', '.join(NAMES)}")
