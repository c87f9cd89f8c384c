"""A worker starts only if its encoder returns the right vectors."""

import os
from pathlib import Path

import pytest

from indexer.worker.encoder_check import EncoderUnfit, check_encoder
from tests.indexing import store_other_golden_vectors, write_colour_encoder


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """An artifact whose vectors are colours."""
    return write_colour_encoder(tmp_path)


def environ(encoder: Path) -> dict[str, str]:
    return os.environ | {"NITAMONO_ENCODER_DIR": str(encoder), "NITAMONO_ENCODER_BACKEND": "onnxruntime"}


def test_an_encoder_that_works_passes(encoder: Path) -> None:
    """Nothing is raised."""
    check_encoder(environ(encoder))


def test_an_encoder_with_wrong_vectors_is_refused(encoder: Path) -> None:
    """In one sentence."""
    store_other_golden_vectors(encoder)
    with pytest.raises(
        EncoderUnfit, match=r"^/.*onnxruntime computes image\.onnx wrongly in f32 on .* set NITAMONO"
    ):
        check_encoder(environ(encoder))


def test_a_backend_that_is_not_installed_is_named(encoder: Path) -> None:
    """Before worker processes start and fail on each message."""
    with pytest.raises(EncoderUnfit, match=r"needs cuda; pip install"):
        check_encoder(environ(encoder) | {"NITAMONO_ENCODER_BACKEND": "cuda"})


def test_an_inference_library_that_crashes_is_reported(encoder: Path, tmp_path: Path) -> None:
    """Such as one that was built for another CPU."""
    (tmp_path / "onnxruntime.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with pytest.raises(EncoderUnfit, match="loading the encoder ended with exit code -4"):
        check_encoder(environ(encoder) | {"PYTHONPATH": paths})


def test_an_encoder_that_never_loads_is_refused(encoder: Path) -> None:
    """With a library that deadlocks, the worker would never start and report nothing."""
    with pytest.raises(EncoderUnfit, match=r"took more than 0\.01 s; check the CPU and memory"):
        check_encoder(environ(encoder), timeout_s=0.01)
