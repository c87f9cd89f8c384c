"""The log on disk: schemas, statement, truth, and injected faults in counted quantities."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from demo.simulation.errors import LogExists
from demo.simulation.event_log.fault_injection import Faults
from demo.simulation.event_log.folder import SENTENCE, write_simulation
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.rankers import calibrated_ranker, noisy_vectors
from events.log_tables import TABLES
from experiments.analysis.log.exclusions import Reason
from experiments.analysis.log.read import open_log
from tests.unit.demo.simulation.market.test_market import EXPERIMENT, TRUTH, make_market


def read(log: Path, name: str) -> pa.Table:
    """All complete files of one kind."""
    files = [path for path in sorted((log / name).rglob("*.parquet")) if path.stem != "truncated"]
    return pa.concat_tables(pq.ParquetFile(path).read() for path in files)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log without faults."""
    folder = tmp_path_factory.mktemp("simulated") / "log"
    write_simulation(folder, make_market(users=300))
    return folder


def test_every_file_has_the_columns_of_the_log(log):
    """As events.log_tables states them, types included."""
    for name, schema in TABLES.items():
        for path in (log / name).rglob("*.parquet"):
            assert pq.read_schema(path).equals(schema), path


def test_every_event_is_in_the_folder_of_its_date(log):
    """Also one that a session before midnight led to."""
    for name in TABLES:
        for path in (log / name).rglob("*.parquet"):
            date = path.parent.name.removeprefix("date=")
            times = pq.ParquetFile(path).read()["time"].to_pylist()
            assert {str(time.date()) for time in times} == {date}


def test_events_fit_together(log):
    """Ids are unique; what follows a slate names one that was shown to the user, with the item in it."""
    slates = {row["slate_id"]: row for row in read(log, "impressions").to_pylist()}
    assert all(slate["simulated"] for slate in slates.values())
    ids = [event_id for name in TABLES for event_id in read(log, name)["event_id"].to_pylist()]
    assert len(set(ids)) == len(ids)
    for name in ("taps", "item_views", "purchases", "complaints"):
        for row in read(log, name).to_pylist():
            if row["slate_id"] is None:
                continue
            slate = slates[row["slate_id"]]
            shown = {item["item_id"]: item["position"] for item in slate["items"]}
            assert row["user_id"] == slate["user_id"]
            assert row["time"] > slate["time"]
            assert row["item_id"] in shown
            if name == "taps":
                assert shown[row["item_id"]] == row["position"]
                assert row["query_item_id"] == slate["query_item_id"]


def test_arms_of_the_log_are_those_of_the_encoders(log):
    """Each slate in the experiment names its arm and the encoder that answered."""
    slates = read(log, "impressions")
    pairs = set(zip(map(tuple, slates["arms"].to_pylist()), slates["encoder_id"].to_pylist(), strict=True))
    control, treatment = "simulated-noise-1.2", "simulated-noise-0.6"
    assert pairs == {((), control), (("test:control",), control), (("test:treatment",), treatment)}


def test_the_log_says_that_it_is_simulated_and_of_what(log):
    """Enough to draw it again."""
    stated = json.loads((log / "SIMULATED.json").read_text())
    assert stated["sentence"] == SENTENCE
    assert stated["sentence"].startswith("simulated: ")
    parameters = stated["ground_truth"] | {"weekdays": tuple(stated["ground_truth"]["weekdays"])}
    assert GroundTruth(**parameters) == TRUTH
    assert stated["experiment"]["name"] == EXPERIMENT.name
    assert stated["events"] == {name: read(log, name).num_rows for name in TABLES}
    assert (stated["seed"], stated["users"], stated["days"]) == (7, 300, 3)


def test_truth_orders_encoders_by_their_noise(tmp_path):
    """Less noise, more expected taps; also of encoders that no arm has."""
    market = make_market(users=300, pre_days=0, days=1)
    others = {
        name: calibrated_ranker(name, noisy_vectors(market.catalogue, noise, 7))
        for name, noise in {"perfect": 0.0, "blind": 8.0}.items()
    }
    written = write_simulation(tmp_path / "log", market, others=others)
    assert written.truth["order"] == ["perfect", "treatment", "control", "blind"]
    assert written.truth == json.loads((tmp_path / "log" / "truth.json").read_text())
    lift = written.truth["encoders"]["treatment"]
    assert lift["ctr_lift"] > 5 * lift["ctr_lift_error"] > 0


def test_the_true_lift_of_one_encoder_in_both_arms_is_what_was_injected(tmp_path):
    """Exactly: nothing random is left in it."""
    truth = GroundTruth(tap_lift=1.5, purchase_lift=1.14, single_unit=False)
    market = make_market(truth=truth, encoders={"treatment": "1.2"}, users=100, pre_days=0, days=1)
    arms = write_simulation(tmp_path / "log", market).truth["arms"]
    assert arms["treatment"]["ctr_lift"] == pytest.approx(0.5, abs=1e-12)
    assert arms["treatment"]["cvr_clicks"] / arms["control"]["cvr_clicks"] == pytest.approx(1.14)


def test_taps_are_as_many_as_the_truth_expects(tmp_path):
    """The CTR of each arm in the log, without bots and testers, lies within 6 % of truth.json."""
    truth = GroundTruth(bot_share=0.0, tester_share=0.0, slates_per_day=10.0)
    plain = EXPERIMENT.model_copy(
        update={"arms": tuple(arm.model_copy(update={"shuffle": 0.0}) for arm in EXPERIMENT.arms)}
    )
    market = make_market(truth=truth, experiment=plain, users=1200, pre_days=0, days=2, count=1000)
    arms = write_simulation(tmp_path / "log", market).truth["arms"]
    slates = read(tmp_path / "log", "impressions")
    arm_of = dict(
        zip(slates["slate_id"].to_pylist(), (a[0] for a in slates["arms"].to_pylist()), strict=True)
    )
    tapped = [arm_of[slate] for slate in read(tmp_path / "log", "taps")["slate_id"].to_pylist()]
    for name in ("control", "treatment"):
        ctr = tapped.count(f"test:{name}") / list(arm_of.values()).count(f"test:{name}")
        assert ctr == pytest.approx(arms[name]["ctr"], rel=0.06)


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    """Two simulations in one log would look like one."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(LogExists, match="not empty"):
        write_simulation(tmp_path, make_market(users=2, days=1, pre_days=0))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, int]]:
    """A log with every fault, and how many of each were injected."""
    folder = tmp_path_factory.mktemp("faulty") / "log"
    faults = Faults(
        duplicate_rate=0.02,
        shuffle_rows=True,
        future_rate=0.01,
        wrong_arm_rate=0.03,
        unknown_arm_rate=0.02,
        truncate_files=True,
    )
    return folder, write_simulation(folder, make_market(users=200), faults=faults).faults


def test_duplicates_are_counted(faulty):
    """Rows less the different ids."""
    log, injected = faulty
    ids = [event_id for name in TABLES for event_id in read(log, name)["event_id"].to_pylist()]
    assert len(ids) - len(set(ids)) == injected["duplicate"] > 10


def test_events_from_the_future_are_counted(faulty):
    """Each of them once, though it may have come twice."""
    log, injected = faulty
    late = {
        row["event_id"]
        for name in TABLES
        for row in read(log, name).select(["event_id", "time"]).to_pylist()
        if row["time"].year >= 2036
    }
    assert len(late) == injected["future"] > 5


def test_wrong_arms_are_counted(faulty):
    """Unknown ones by name; users in two arms beside the testers, who are marked."""
    log, injected = faulty
    slates = {row["slate_id"]: row for row in read(log, "impressions").to_pylist() if row["arms"]}
    unknown = [row for row in slates.values() if row["arms"] == ["test:no-such-arm"]]
    assert len(unknown) == injected["unknown_arm"] > 0
    arms: dict[str, set[str]] = {}
    for row in slates.values():
        if not row["override"]:
            arms.setdefault(row["user_id"], set()).update(set(row["arms"]) - {"test:no-such-arm"})
    assert 0 < sum(len(seen) == 2 for seen in arms.values()) <= injected["wrong_arm"]


def test_rows_are_shuffled(faulty):
    """A reader must not rely on their order."""
    times = read(faulty[0], "impressions")["time"].to_pylist()
    assert times != sorted(times)


def test_a_truncated_file_cannot_be_read(faulty):
    """One of each kind, as its writer was killed."""
    truncated = sorted(faulty[0].rglob("truncated.parquet"))
    assert len(truncated) == faulty[1]["truncated_file"] == len(TABLES)
    for path in truncated:
        with pytest.raises(pa.ArrowInvalid):
            pq.ParquetFile(path)


def test_readers_of_the_log_exclude_what_was_injected(faulty):
    """Every duplicate, unknown arm, future event and truncated file."""
    folder, injected = faulty
    with open_log(folder, threads=1) as opened:
        clean = opened.clean(EXPERIMENT, EXPERIMENT.start + timedelta(days=1))
        found = {exclusion.reason: exclusion.count for exclusion in clean.exclusions}
        unreadable = {fault.path.name for fault in opened.faulty}
    assert found[Reason.REPEATED_EVENT] == injected["duplicate"]
    # A slate of an unknown arm may be in the future, which is counted first; late purchases end the next day.
    assert 0 <= injected["unknown_arm"] - found[Reason.UNKNOWN_ARM] <= 2
    assert 0 <= found[Reason.FUTURE] - injected["future"] <= 3
    assert found[Reason.TWO_ARMS] > 0
    assert unreadable == {"truncated.parquet"}
