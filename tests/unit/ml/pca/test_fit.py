"""`nitamono ml fit-pca`: equal axes from both solvers, and invalid shards."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from sklearn.decomposition import PCA

from ml.cli import group
from ml.data.vector_shards import CHUNK_ROWS, HELD_OUT_EVERY, held_out_sample, open_shards
from ml.pca.fit import fit_shards, measure_choices
from ml.pca.projection import Vectors, load_projection

WIDTH = 24


def make_vectors(rows: int, seed: int = 0) -> Vectors:
    """(rows, WIDTH) far from the origin, each column with a different variance, not normalised."""
    random = np.random.default_rng(seed)
    scales = np.linspace(2, 0.05, WIDTH)
    return (random.standard_normal((rows, WIDTH)) * scales + 3).astype(np.float32)


def write_shards(folder: Path, *sizes: int) -> Path:
    """A folder of shards with these numbers of rows."""
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(sizes):
        np.save(folder / f"part-{number}.npy", make_vectors(rows, number))
    return folder


def fit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["fit-pca", *map(str, arguments)])


def unit_fitted_rows(folder: Path) -> Vectors:
    """The rows that should be fitted, (n, WIDTH), by plain NumPy."""
    parts = [np.load(path) for path in sorted(folder.glob("*.npy"))]
    rows = np.concatenate(
        [part[np.arange(len(part)) % HELD_OUT_EVERY != HELD_OUT_EVERY - 1] for part in parts]
    )
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.mark.parametrize(("memory_limit", "solver"), [(0, "streaming"), (2**30, "scikit-learn")])
def test_both_solvers_equal_scikit_learn_on_unit_vectors(
    memory_limit: int, solver: str, tmp_path: Path
) -> None:
    """To 1e-5 up to sign, over shards of different sizes, one longer than a chunk and one of a single row."""
    folder = write_shards(tmp_path / "shards", CHUNK_ROWS + 700, 1, 333)
    expected = PCA(8, svd_solver="full").fit(unit_fitted_rows(folder).astype(np.float64))
    result = fit(folder, "--out", tmp_path / "out", "--dims", 4, "--keep", 8, "--memory-limit", memory_limit)
    assert result.exit_code == 0, result.output
    assert f"solver: {solver}" in result.output
    found = load_projection(tmp_path / "out" / "projection.npz")
    signs = np.sign((found.components * expected.components_).sum(axis=1, keepdims=True))
    assert np.abs(found.components - signs * expected.components_).max() < 1e-5
    assert np.abs(found.mean - expected.mean_).max() < 1e-6
    assert found.explained == pytest.approx(expected.explained_variance_ratio_.sum(), abs=1e-5)


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    """One worker and three give bit-identical results."""
    shards = open_shards([write_shards(tmp_path / "shards", 300, 200, 100)])
    one, _ = fit_shards(shards, tmp_path / "one", memory_limit=0)
    three, _ = fit_shards(shards, tmp_path / "three", memory_limit=0, workers=3)
    assert np.array_equal(one.axes, three.axes)


def test_recall_equals_that_of_a_plain_search(tmp_path: Path) -> None:
    """1 at full width; at fewer dims the overlap that plain sorting finds."""
    folder = write_shards(tmp_path / "shards", 2000, 1000)
    shards = open_shards([folder])
    spectrum, _ = fit_shards(shards, tmp_path / "sums", memory_limit=0)
    narrow, full = measure_choices(spectrum, shards, [3, WIDTH])
    sample = held_out_sample(shards, 5000)
    assert len(sample) == 150

    def ten_nearest(vectors: Vectors) -> list[set[int]]:
        cosines = vectors @ vectors.T - 9 * np.eye(len(vectors))
        return [set(row.tolist()) for row in np.argsort(-cosines, axis=1)[:, :10]]

    before, after = ten_nearest(sample), ten_nearest(spectrum.projection(3).apply(sample))
    by_hand = [len(one & other) / 10 for one, other in zip(before, after, strict=True)]
    assert narrow.recall == pytest.approx(np.mean(by_hand))
    assert narrow.recall < full.recall
    assert full.explained == pytest.approx(1)


def test_the_sample_is_spread_over_the_shards(tmp_path: Path) -> None:
    """Six of 60 held-out rows, three from each shard, none of which is fitted."""
    folder = write_shards(tmp_path / "shards", 600, 600)
    sample = held_out_sample(open_shards([folder]), 6)
    assert sample.shape == (6, WIDTH)
    fitted = {row.tobytes() for row in unit_fitted_rows(folder)}
    assert not fitted & {row.tobytes() for row in sample}
    first = np.load(folder / "part-0.npy")[HELD_OUT_EVERY - 1]
    assert sample[0] == pytest.approx(first / np.linalg.norm(first))


def test_the_report_has_a_row_for_each_choice_and_a_chart(tmp_path: Path) -> None:
    """JSON and PNG; --keep is measured too."""
    folder = write_shards(tmp_path / "shards", 2000)
    result = fit(folder, "--out", tmp_path / "out", "--dims", "2,4,16", "--keep", "8")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [choice["dims"] for choice in report["choices"]] == [2, 4, 8, 16]
    explained = [choice["explained"] for choice in report["choices"]]
    assert explained == sorted(explained)
    assert load_projection(tmp_path / "out" / "projection.npz").components.shape == (8, WIDTH)
    assert Image.open(tmp_path / "out" / "report.png").format == "PNG"


def test_a_stopped_run_resumes(tmp_path: Path) -> None:
    """A damaged second shard stops the run; once repaired only it is read."""
    folder = write_shards(tmp_path / "shards", 400, 400)
    broken = make_vectors(400, 1)
    broken[123, 5] = np.nan
    np.save(folder / "part-1.npy", broken)
    arguments = (folder, "--dims", "4", "--keep", "4", "--memory-limit", "0")
    result = fit(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{folder / 'part-1.npy'}: row 123 has NaN or infinite values" in result.output
    (finished,) = (tmp_path / "out" / "sums").iterdir()
    written = finished.stat().st_mtime_ns

    np.save(folder / "part-1.npy", make_vectors(400, 1))
    assert fit(*arguments, "--out", tmp_path / "out").exit_code == 0
    assert fit(*arguments, "--out", tmp_path / "unbroken").exit_code == 0
    assert finished.stat().st_mtime_ns == written
    resumed, unbroken = (load_projection(tmp_path / name / "projection.npz") for name in ("out", "unbroken"))
    assert np.array_equal(resumed.components, unbroken.components)


def test_a_rewritten_shard_is_summed_again(tmp_path: Path) -> None:
    """Sums of the old content are ignored."""
    folder = write_shards(tmp_path / "shards", 400)
    arguments = (folder, "--out", tmp_path / "out", "--dims", "4", "--keep", "4", "--memory-limit", "0")
    fit(*arguments)
    before = load_projection(tmp_path / "out" / "projection.npz")
    np.save(folder / "part-0.npy", make_vectors(500, 9))
    fit(*arguments)
    after = load_projection(tmp_path / "out" / "projection.npz")
    assert not np.array_equal(before.components, after.components)


def test_unreadable_sums_are_named(tmp_path: Path) -> None:
    """A damaged file of sums does not count as a finished shard."""
    folder = write_shards(tmp_path / "shards", 400)
    arguments = (folder, "--out", tmp_path / "out", "--dims", "4", "--keep", "4", "--memory-limit", "0")
    fit(*arguments)
    (sums,) = (tmp_path / "out" / "sums").iterdir()
    sums.write_bytes(sums.read_bytes()[:100])
    result = fit(*arguments)
    assert result.exit_code == 1
    assert f"{sums}: cannot be read" in result.output
    assert "remove it and run `nitamono ml fit-pca` again" in result.output


def write_half(path: Path) -> None:
    np.save(path, make_vectors(400))
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (write_half, "cannot be read as .npy"),
        (Path.touch, "cannot be read as .npy"),
        (lambda path: path.write_text("<html>404</html>"), "cannot be read as .npy"),
        (lambda path: np.save(path, make_vectors(0)), "found float32 of shape (0, 24)"),
        (lambda path: np.save(path, make_vectors(9).astype(np.float64)), "found float64 of shape (9, 24)"),
        (lambda path: np.save(path, make_vectors(9)[:, :7].copy()), "rows of 7, expected 24 as in"),
        (lambda path: np.save(path, make_vectors(9) * np.float32(0)), "row 0 has only zeros"),
        (lambda path: np.save(path, make_vectors(9) / np.float32(0)), "row 0 has NaN or infinite values"),
    ],
)
def test_a_bad_shard_is_named_with_the_remedy(spoil, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # lambdas of any result
    """One sentence, no traceback, and no projection."""
    folder = write_shards(tmp_path / "shards", 400)
    bad = folder / "part-x.npy"
    with np.errstate(all="ignore"):
        spoil(bad)
    result = fit(folder, "--out", tmp_path / "out", "--dims", "4", "--keep", "4")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {bad}: ")
    assert message in result.output
    assert any(remedy in result.output for remedy in ("recreate", "again", "one encoder at a time"))
    assert not (tmp_path / "out" / "projection.npz").exists()


def test_a_folder_without_shards_is_named(tmp_path: Path) -> None:
    """The message says how to create some."""
    result = fit(tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"no .npy or parquet file in {tmp_path}; create one with `nitamono ml embed" in result.output


@pytest.mark.parametrize("memory_limit", [0, 2**30])
def test_shards_of_equal_vectors_are_rejected(memory_limit: int, tmp_path: Path) -> None:
    """By either solver, instead of dividing by zero."""
    np.save(tmp_path / "same.npy", np.tile(make_vectors(1), (80, 1)))
    out = tmp_path / "out"
    result = fit(
        tmp_path / "same.npy", "--out", out, "--dims", 4, "--keep", 4, "--memory-limit", memory_limit
    )
    assert result.exit_code == 1
    assert "the 76 vectors are all equal" in result.output
    assert not (out / "projection.npz").exists()


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    """The parent of OUT is a file."""
    (tmp_path / "file").touch()
    result = fit(
        write_shards(tmp_path / "shards", 400), "--out", tmp_path / "file" / "out", "--keep", 4, "--dims", 4
    )
    assert result.exit_code == 1
    assert f"{tmp_path / 'file' / 'out'}: cannot be written" in result.output


def test_too_few_rows_are_rejected_before_reading(tmp_path: Path) -> None:
    """114 fitted rows of 24 columns are too few for 128 dims."""
    result = fit(write_shards(tmp_path / "shards", 120), "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "114 rows of 24 to fit and 6 held out, expected at least 256 rows and columns" in result.output


@pytest.mark.parametrize("dims", ["", "a", "8,x", "0,4", "-3"])
def test_invalid_dims_are_rejected(dims: str, tmp_path: Path) -> None:
    """A usage error with an example."""
    result = fit(write_shards(tmp_path / "shards", 40), "--out", tmp_path / "out", f"--dims={dims}")
    assert result.exit_code == 2
    assert "expected for example 32,64,128" in result.output
