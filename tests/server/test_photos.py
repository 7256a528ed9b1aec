"""Whose turn it is, and the names that files get."""

from pathlib import Path

import pytest

from defocusctl.errors import UsageError
from defocusctl.server.photos import Photos, ServedPhoto, Status, safe_name


def dropped(photos: Photos, session: str, name: str) -> ServedPhoto:
    photo = photos.reserve(photos.session(session), name, "iniknet", "auto")
    photos.queue(photo)
    return photo


def test_sessions_take_turns(tmp_path: Path) -> None:
    photos = Photos(tmp_path, 10)
    for name in ("a1", "a2", "a3"):
        dropped(photos, "a", name)
    for name in ("b1", "b2"):
        dropped(photos, "b", name)
    ahead = [photo["ahead"] for key in "ab" for photo in photos.state(photos.session(key))["photos"]]
    assert ahead == [0, 2, 4, 1, 3]
    turns = photos.turns()
    done = []
    for _ in range(5):
        photo = next(turns)
        done.append(photo.source.name)
        assert photo.status is Status.COMPUTING
        others = [each for key in "ab" for each in photos.state(photos.session(key))["photos"]]
        assert sorted(each["ahead"] for each in others if each["status"] == "waiting") == list(
            range(1, 6 - len(done))
        )
        photo.status = Status.DONE
    assert done == ["a1", "b1", "a2", "b2", "a3"]
    photos.close()
    assert list(turns) == []


def test_a_photo_that_is_removed_leaves_nothing(tmp_path: Path) -> None:
    photos = Photos(tmp_path, 10)
    first, second = dropped(photos, "a", "one.jpg"), dropped(photos, "a", "two.jpg")
    turns = photos.turns()
    assert next(turns) is first
    photos.remove(second)
    photos.remove(first)
    assert [path.name for path in tmp_path.iterdir()] == [first.key]  # what computes may still write there
    third = dropped(photos, "a", "three.jpg")
    assert next(turns) is third
    assert [path.name for path in tmp_path.iterdir()] == [third.key]
    photos.forget(0)
    photos.close()
    assert list(turns) == []
    assert list(tmp_path.iterdir()) == []


def test_a_photo_that_arrives_keeps_its_session(tmp_path: Path) -> None:
    photos = Photos(tmp_path, 10)
    with photos.present("a") as session:
        photo = photos.reserve(session, "one.jpg", "iniknet", "auto")
        session.left = 0.0
        photos.forget(0)
        assert photos.get("a", photo.key) is photo
    photos.forget(60)
    assert photos.get("a", photo.key) is photo
    session.left = 0.0
    photos.forget(60)
    assert list(tmp_path.iterdir()) == []


def test_there_is_a_limit_for_all_sessions_together(tmp_path: Path) -> None:
    photos = Photos(tmp_path, 2)
    dropped(photos, "a", "one.jpg")
    last = dropped(photos, "b", "two.jpg")
    with pytest.raises(UsageError, match="--max-photos"):
        dropped(photos, "a", "three.jpg")
    photos.remove(last)
    dropped(photos, "a", "three.jpg")


@pytest.mark.parametrize(("given", "kept"), [("10:30?.jpg", "10_30_.jpg"), ("CON.jpg", "_CON.jpg")])
def test_on_windows_names_are_those_that_files_can_have(given: str, kept: str) -> None:
    assert safe_name(given, windows=True) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\Größe 1.TIF", "Größe 1.TIF"),
        ("..", "photo"),
        ("", "photo"),
        ("new\nline\x1b.png", "new_nline_x1b.png"),
        ("10:30?.jpg", "10:30?.jpg"),
        ("CON.jpg", "CON.jpg"),
        ("photo.jpg. .", "photo.jpg"),
        ("averylongnamewithoutdot_20240101", "averylongnamewithoutdot_20240101"),
        ("x" * 500, "x" * 120),
        ("x" * 500 + ".jpeg", "x" * 120 + ".jpeg"),
        ("\N{GRINNING FACE}" * 120 + ".jpeg", "\N{GRINNING FACE}" * 48 + ".jpeg"),
    ],
)
def test_names_are_safe_and_as_they_were_if_possible(given: str, kept: str, tmp_path: Path) -> None:
    assert safe_name(given, windows=False) == kept
    (tmp_path / f"{Path(kept).stem}_deblurred{Path(kept).suffix}").touch()
