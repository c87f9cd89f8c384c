"""The Celery app: `celery -A indexer.worker.app worker`."""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from typing import Any

from celery import Celery, signals
from elasticsearch import ApiError, TransportError

from indexer.settings import IndexerSettings
from indexer.worker.bootstrap import build_indexer, build_intake, build_parking
from indexer.worker.encoder_check import check_encoder
from indexer.worker.logs import line
from indexer.worker.parking import ParkingLot
from indexer.worker.pipeline import Indexer
from mappings.client import connect
from mappings.errors import ContractError, IndexMissing
from mappings.lifecycle import EncoderIdentity, writable_indices
from ml.artifact import load_artifact
from ml.errors import MlError
from queues.broker import delivery_settings, transport_options
from queues.refused_messages import RESULT_EXPIRES_S

log = logging.getLogger(__name__)


@cache
def settings() -> IndexerSettings:
    """This process's settings, read when first needed."""
    return IndexerSettings.from_environ(os.environ)


@cache
def indexer() -> Indexer:
    """This process's indexer, with its encoder."""
    return build_indexer(settings())


@cache
def parking() -> ParkingLot:
    """This process's parking lot."""
    return build_parking(settings())


def configuration(chosen: IndexerSettings) -> dict[str, Any]:
    """Celery's settings, each for a reason."""
    transport = transport_options(chosen.unacked_key, chosen.visibility_timeout_s)
    return delivery_settings(build_intake(chosen), transport) | {
        "broker_url": chosen.redis_url,
        "result_backend": chosen.redis_url,
        "result_backend_transport_options": transport,
        "imports": ("indexer.worker.tasks",),
        "task_default_queue": chosen.queue,
        "result_serializer": "json",
        "task_soft_time_limit": chosen.soft_limit_s,
        "task_time_limit": chosen.hard_limit_s,
        # Decoders' memory stays fragmented; a fresh process costs a second or two.
        "worker_max_tasks_per_child": 2000,
        "result_expires": RESULT_EXPIRES_S,
        "result_backend_always_retry": True,
        "result_backend_max_retries": 10,
        "redis_socket_timeout": 30,
        "redis_retry_on_timeout": True,
        # Sending (a retry above all) rides out a restart of Redis of about ten seconds.
        "task_publish_retry_policy": {
            "max_retries": 12,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 1,
        },
        "worker_hijack_root_logger": True,
    }


def producer(chosen: IndexerSettings) -> Celery:
    """An app that sends tasks and keeps no track of their results."""
    sender = Celery("nitamono-producer", set_as_current=False)
    sender.conf.update(configuration(chosen) | {"result_backend": None, "imports": ()})
    return sender


app = Celery("nitamono")
app.add_defaults(lambda: configuration(settings()))


@signals.after_setup_logger.connect  # type: ignore[untyped-decorator]  # Celery has no types
def quieten(**_: object) -> None:
    """Leaves a line for each request to Elasticsearch out of the log."""
    logging.getLogger("elastic_transport").setLevel(logging.WARNING)


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]  # as above
def check_contract(**_: object) -> None:
    """Refuses to start on an encoder that is damaged or wrong here, or on indices made for another one."""
    chosen = settings()
    try:
        load_artifact(chosen.encoder)
        check_encoder(os.environ)
        identity = EncoderIdentity.from_artifact(chosen.encoder)
        with connect(chosen.elasticsearch) as es:
            indices = writable_indices(es, chosen.prefix, identity)
    except IndexMissing as error:
        log.warning(line("no_index_yet", detail=str(error)))
    except (TransportError, ApiError) as error:
        log.warning(line("elasticsearch_unavailable", detail=str(error)))
    except (ContractError, MlError) as error:
        sys.exit(f"The indexer cannot start: {error}")
    else:
        log.info(line("ready", encoder=identity.encoder_id, indices=",".join(indices)))


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]  # as above
def load(**_: object) -> None:
    """Loads the encoder before the first chunk comes."""
    indexer()
