"""The user that runs Elasticsearch."""

from __future__ import annotations

import os
import pwd

import pytest

from demo.local_services.errors import NoUnprivilegedUser
from demo.local_services.unprivileged_user import ServiceUser, service_user

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def test_an_ordinary_user_runs_it_directly():
    """Nothing is given up by a caller who is not root."""
    user = service_user("nobody", uid=1000)
    assert (user.uid, user.is_caller, user.popen_arguments) == (1000, True, {})


def test_root_runs_it_as_the_user_that_is_set():
    """Root gives up its user, its group and every further group."""
    user = service_user("nobody", uid=0)
    entry = pwd.getpwnam("nobody")
    assert user.popen_arguments == {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@pytest.mark.parametrize("name", ["no-such-user", "root"])
def test_an_unsuitable_user_is_refused(name):
    """An unknown user, or root again, is refused with the setting that helps."""
    with pytest.raises(NoUnprivilegedUser, match=f"{name}.*NITAMONO_ES_USER"):
        service_user(name, uid=0)


def test_the_caller_owns_what_it_makes(tmp_path):
    """For the calling user nothing changes hands, and its own folders are within knn."""
    user = ServiceUser.caller()
    user.own(tmp_path)
    assert user.can_enter(tmp_path)
    assert user.can_read(tmp_path)
    assert not user.can_read(tmp_path / "absent")


@as_root
def test_a_closed_folder_cannot_be_read(tmp_path):
    """What lies below a folder with mode 700 cannot be reached by another user, whatever its own mode."""
    nobody = service_user("nobody")
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.chmod(0o777)
    tmp_path.chmod(0o755)
    (tmp_path / "closed").chmod(0o700)
    assert not nobody.can_enter(inner)


@as_root
def test_ownership_changes_for_a_folder_and_all_below(tmp_path):
    """Files, folders and links below belong to the user; what a link leads to does not."""
    nobody = service_user("nobody")
    outside = tmp_path / "outside"
    outside.write_text("")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("")
    (folder / "link").symlink_to(outside)
    nobody.own(folder)
    owned = [folder, folder / "sub", folder / "sub" / "file", folder / "link"]
    assert {path.lstat().st_uid for path in owned} == {nobody.uid}
    assert outside.stat().st_uid == 0
