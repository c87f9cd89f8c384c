"""The state folder."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.local_services.errors import FolderNotWritable, StateBusy
from demo.local_services.state import StateFolder, replace_text


def test_opening_makes_the_folders(tmp_path):
    """A state folder that is not there yet is made, with its subfolders, also with a space in its name."""
    state = StateFolder.open(tmp_path / "a state")
    assert state.log("api") == tmp_path / "a state" / "logs" / "api.log"
    assert all(folder.is_dir() for folder in (state.logs, state.records, state.redis, state.marketplace))


def test_a_file_in_place_of_the_folder_is_reported_with_the_setting(tmp_path):
    """Where no folder can be made, the message names the folder and NITAMONO_STATE_DIR."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable, match=r"file/state.*set NITAMONO_STATE_DIR"):
        StateFolder.open(tmp_path / "file" / "state")


def _try_lock(path: Path, answers: multiprocessing.Queue) -> None:
    try:
        with StateFolder(path).locked():
            answers.put("locked")
    except StateBusy as error:
        answers.put(str(error))


def test_a_second_command_is_refused(tmp_path):
    """While one process holds the folder, another is refused; afterwards it may."""
    state = StateFolder.open(tmp_path)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with state.locked():
        _in_a_process(context, tmp_path, answers)
        assert "wait for it to end" in answers.get(timeout=10)
    _in_a_process(context, tmp_path, answers)
    assert answers.get(timeout=10) == "locked"


def _in_a_process(context, path, answers):
    process = context.Process(target=_try_lock, args=(path, answers))
    process.start()
    process.join(30)


@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r")), min_size=1, max_size=4))
def test_a_replaced_file_holds_the_last_text(tmp_path_factory, texts):
    """Replacing a file leaves only the new text and no temporary file."""
    path = tmp_path_factory.mktemp("replace") / "record"
    for text in texts:
        replace_text(path, text)
    assert path.read_text(encoding="utf-8") == texts[-1]
    assert [entry.name for entry in path.parent.iterdir()] == ["record"]
