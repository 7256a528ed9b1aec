"""Every layout of the evaluation sets is found and paired rightly; whatever is wrong is one clear line."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, UnidentifiedImageError

from defocusctl.data.catalogue import SETS
from defocusctl.data.found import EvaluationImage, read_headers
from defocusctl.data.search import data_root, find_data, pairs_data, photos_data, present_data
from defocusctl.errors import DataError, UsageError
from defocusctl.photo.geometry import Size

DPDD_TEST = [900 + 10 * scene for scene in range(76)]
"""The numbers of the blurred photos: far apart, as the scenes of one split are."""


def png(width: int = 4, height: int = 3) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), (20, 40, 60)).save(buffer, "PNG")
    return buffer.getvalue()


PNG = png()


def photos(folder: Path, names: Iterable[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(PNG)
    return folder


def canon(numbers: Iterable[int]) -> list[str]:
    return [f"1P0A{number:04}.png" for number in numbers]


def dpdd(folder: Path, blurred: str = "source") -> None:
    """A whole test split; the sharp photo is the one before, or for every fifth scene the one after."""
    photos(folder / blurred, canon(DPDD_TEST))
    photos(folder / "target", canon(n + 1 if n % 50 == 0 else n - 1 for n in DPDD_TEST))


def labels(folder: Path, indoor: Iterable[int], outdoor: Iterable[int]) -> None:
    np.save(folder / "indoor_labels.npy", np.array([*indoor]))
    np.save(folder / "outdoor_labels.npy", np.array([*outdoor]))


def lfdof(folder: Path) -> None:
    for scene in range(29):
        photos(folder / "input" / f"IMG_{scene}", [f"IMG_{scene}_ap{n // 5}_{n:02}.png" for n in range(25)])
    photos(folder / "ground_truth", [f"IMG_{scene}.png" for scene in range(29)])


def rtf(folder: Path, levels: Iterable[str] = ("0", "1", "2")) -> None:
    for level in levels:
        photos(folder / "image" / level, [f"image_{n:02}.png" for n in range(1, 23)])
    photos(folder / "GT", [f"sharp_{n:02}.png" for n in range(1, 23)])


def realdof(folder: Path) -> None:
    for part in ("source", "target"):
        photos(folder / part, [f"{n:02}.png" for n in range(1, 51)])


@pytest.mark.parametrize(
    ("split_folder", "blurred"),
    [
        ("DPDD/test_c", "source"),
        ("dd_dp_dataset_canon/test_c", "source"),
        ("dd_dp_dataset_png/test_c", "source"),
        ("dd_dp_dataset_canon/dd_dp_dataset_png/test_c", "source"),
        ("dpdd/Test_C", "Source"),
        ("test_c", "source"),
        ("test/DPDD", "inputC"),
        ("DPDD/test", "inputC"),
        ("test", "inputC"),
        (".", "inputC"),
    ],
)
def test_dpdd_in_every_layout(tmp_path: Path, split_folder: str, blurred: str) -> None:
    folder = tmp_path / split_folder
    dpdd(folder, blurred)
    found = find_data("dpdd", tmp_path)
    assert found.folder == folder
    assert (found.title, found.split, found.problems) == ("DPDD", "test", ())
    assert [image.name for image in found.images] == [f"1P0A{n:04}" for n in DPDD_TEST]
    assert found.images[0].blurred == folder / blurred / "1P0A0900.png"
    assert found.images[0].sharp == folder / "target" / "1P0A0901.png", "the sharp one is the next"
    assert found.images[1].sharp == folder / "target" / "1P0A0909.png", "the sharp one is the one before"
    assert {image.labels for image in found.images} == {()}


def test_only_the_test_split_may_lie_in_no_folder_of_a_split(tmp_path: Path) -> None:
    dpdd(tmp_path / "DPDD", "inputC")
    with pytest.raises(DataError, match=r"train_c/\{source,target\}"):
        find_data("dpdd", tmp_path, "train")
    photos(tmp_path / "DPDD" / "train_c" / "source", canon([1, 5]))
    photos(tmp_path / "DPDD" / "train_c" / "target", canon([2, 4]))
    found = find_data("dpdd", tmp_path, "train")
    assert [image.name for image in found.images] == ["1P0A0001", "1P0A0005"]
    assert "2 images, but DPDD has 350 in its train split" in found.problems[0]


def test_restormers_labels_count_from_one(tmp_path: Path) -> None:
    dpdd(tmp_path / "test" / "DPDD", "inputC")
    labels(tmp_path / "test" / "DPDD", range(1, 38), range(38, 77))
    found = find_data("dpdd", tmp_path)
    assert found.problems == ()
    assert [image.labels for image in found.images] == [("indoor",)] * 37 + [("outdoor",)] * 39


def test_labels_for_other_photos_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "test" / "DPDD"
    dpdd(folder, "inputC")

    def problem() -> str:
        found = find_data("dpdd", tmp_path)
        assert {image.labels for image in found.images} == {()}
        assert len(found.problems) == 1
        return found.problems[0]

    labels(folder, range(37), range(37, 76))
    assert "labels left out" in problem(), "counted from zero"
    labels(folder, range(1, 38), range(38, 80))
    assert "for 79 photos and not for these 76" in problem()
    (folder / "indoor_labels.npy").write_bytes(b"no array")
    assert "cannot be read" in problem()
    np.save(folder / "indoor_labels.npy", np.array([{}]), allow_pickle=True)
    assert "cannot be read" in problem(), "pickles are not opened"
    (folder / "indoor_labels.npy").unlink()
    assert "indoor_labels.npy is missing" in problem()


def test_a_missing_sharp_photo_of_dpdd_does_not_shift_the_others(tmp_path: Path) -> None:
    dpdd(tmp_path / "test_c")
    (tmp_path / "test_c" / "target" / "1P0A0909.png").unlink()
    found = find_data("dpdd", tmp_path)
    assert [image.name for image in found.images] == [f"1P0A{n:04}" for n in DPDD_TEST if n != 910]
    assert all(abs(int(i.name[4:]) - int(i.sharp.stem[4:])) == 1 for i in found.images if i.sharp)
    unpaired, count = found.problems
    assert "1 of 76 blurred and 75 sharp photos cannot be paired: source/1P0A0910.png" in unpaired
    assert count.startswith("75 images, but DPDD has 76")


def test_a_gap_on_each_side_of_dpdd_is_seen_though_the_counts_agree(tmp_path: Path) -> None:
    photos(tmp_path / "test_c" / "source", canon([11, 31, 41, 51]))
    photos(tmp_path / "test_c" / "target", canon([10, 20, 30, 40]))
    found = find_data("dpdd", tmp_path)
    assert [image.name for image in found.images] == ["1P0A0011", "1P0A0031", "1P0A0041"]
    assert "source/1P0A0051.png, target/1P0A0020.png" in found.problems[0]


def test_neighbouring_scenes_of_dpdd_are_not_guessed(tmp_path: Path) -> None:
    photos(tmp_path / "test_c" / "source", canon([11, 13, 21]))
    photos(tmp_path / "test_c" / "target", canon([12, 20]))
    found = find_data("dpdd", tmp_path)
    assert [image.name for image in found.images] == ["1P0A0021"]
    assert "source/1P0A0011.png, source/1P0A0013.png, target/1P0A0012.png" in found.problems[0]


def test_a_pair_of_dpdd_with_a_larger_step_is_kept_and_told(tmp_path: Path) -> None:
    photos(tmp_path / "test_c" / "source", canon([11, 33, 41]))
    photos(tmp_path / "test_c" / "target", canon([10, 30, 40]))
    found = find_data("dpdd", tmp_path)
    assert len(found.images) == 3
    assert "source/1P0A0033.png, target/1P0A0030.png" in found.problems[0]
    assert "differ by 3" in found.problems[0]


def test_a_copy_of_dpdd_with_equal_or_no_numbers_is_paired_too(tmp_path: Path) -> None:
    photos(tmp_path / "a" / "test_c" / "source", canon([11, 12, 13]))
    photos(tmp_path / "a" / "test_c" / "target", canon([11, 13]))
    found = find_data("dpdd", tmp_path / "a")
    assert [(i.name, i.sharp and i.sharp.stem) for i in found.images] == [
        ("1P0A0011", "1P0A0011"),
        ("1P0A0013", "1P0A0013"),
    ]
    assert "1 blurred photo has no partner in target: source/1P0A0012.png" in found.problems[0]
    photos(tmp_path / "b" / "test_c" / "source", ["barn.png", "tree.png"])
    photos(tmp_path / "b" / "test_c" / "target", ["barn-sharp.png", "tree-sharp.png"])
    assert [image.name for image in find_data("dpdd", tmp_path / "b").images] == ["barn", "tree"]


def test_a_photo_in_two_formats_is_told(tmp_path: Path) -> None:
    dpdd(tmp_path / "test_c")
    photos(tmp_path / "test_c" / "source", ["1P0A0900.tif"])
    found = find_data("dpdd", tmp_path)
    assert len(found.images) == 76
    assert len(found.problems) == 1
    assert "same name or number: source/1P0A0900.tif" in found.problems[0]


def test_lfdof_shares_the_sharp_photo_of_a_scene(tmp_path: Path) -> None:
    lfdof(tmp_path / "LFDOF" / "test_data")
    found = find_data("lfdof", tmp_path)
    assert found.problems == ()
    assert len({image.name for image in found.images}) == 725
    assert len({image.sharp for image in found.images}) == 29
    assert found.images[0].name == "IMG_0_ap0_00"
    assert all(i.sharp and i.sharp.stem == i.blurred.parent.name for i in found.images)


def test_what_is_wrong_in_lfdof(tmp_path: Path) -> None:
    folder = tmp_path / "test_data"
    lfdof(folder)
    (folder / "ground_truth" / "IMG_3.png").unlink()
    photos(folder / "ground_truth", ["IMG_77.png"])
    (folder / "input" / "IMG_5" / "IMG_5_ap0_00.png").rename(folder / "input" / "IMG_6" / "IMG_5_ap0_00.png")
    photos(folder / "input", ["IMG_7_ap0_99.png"])
    photos(folder / "input" / "IMG_9", ["IMG_9_ap0_00.bmp"])
    for path in (folder / "input" / "IMG_8").iterdir():
        path.unlink()
    found = find_data("lfdof", tmp_path)
    assert len(found.images) == 725 - 25 - 1 - 25
    told = "\n".join(found.problems)
    assert "1 scene has no partner in ground_truth: input/IMG_3:" in told
    assert "1 sharp photo has no partner in input: ground_truth/IMG_77.png:" in told
    assert "left out: input/IMG_7_ap0_99.png, IMG_6/IMG_5_ap0_00.png:" in told
    assert "same name or number: IMG_9/IMG_9_ap0_00.png" in told
    assert "no photo of the scene: input/IMG_8:" in told
    assert "674 images, but LFDOF has 725" in told
    assert len(found.problems) == 6


def test_rtf_uses_the_first_noise_level(tmp_path: Path) -> None:
    rtf(tmp_path / "RTFDataset")
    found = find_data("rtf", tmp_path)
    assert found.problems == ()
    assert found.ignored == ("image/1 (another noise level)", "image/2 (another noise level)")
    assert [image.blurred.parent.name for image in found.images] == ["0"] * 22
    assert all(i.sharp and i.sharp.stem[-2:] == i.name[-2:] for i in found.images)


def test_what_is_wrong_in_rtf(tmp_path: Path) -> None:
    rtf(tmp_path, ["0"])
    (tmp_path / "GT" / "sharp_04.png").unlink()
    (tmp_path / "GT" / "sharp_05.png").rename(tmp_path / "GT" / "5.png")
    photos(tmp_path / "image" / "0", ["image_7.png"])
    found = find_data("rtf", tmp_path)
    assert len(found.images) == 20
    told = "\n".join(found.problems)
    assert "2 blurred photos have no partner in GT: 0/image_04.png, 0/image_05.png:" in told
    assert "left out for their names: GT/5.png: rename them like sharp_01.png" in told
    assert "same name or number: 0/image_7.png" in told
    assert "20 images, but RTF has 22" in told
    assert len(found.problems) == 4


def test_realdof_and_its_unpaired_photos(tmp_path: Path) -> None:
    realdof(tmp_path / "realdof")
    found = find_data("realdof", tmp_path)
    assert found.problems == ()
    assert [image.name for image in found.images] == [f"{n:02}" for n in range(1, 51)]
    for n in (3, 9, 20, 21, 22):
        (tmp_path / "realdof" / "source" / f"{n:02}.png").unlink()
    unpaired, count = find_data("realdof", tmp_path).problems
    assert "5 sharp photos have no partner in source" in unpaired
    assert "target/03.png, target/09.png, target/20.png, target/21.png and 1 more" in unpaired
    assert count.startswith("45 images, but RealDOF has 50")


def test_cuhk_has_no_reference_and_subsets_are_fine(tmp_path: Path) -> None:
    photos(tmp_path / "CUHK", ["out_of_focus0001.jpg", "out_of_focus0002.jpg"])
    found = find_data("cuhk", tmp_path)
    assert [(i.name, i.sharp) for i in found.images] == [
        ("out_of_focus0001", None),
        ("out_of_focus0002", None),
    ]
    assert found.problems == ()
    photos(tmp_path / "CUHK", [f"{n}.jpg" for n in range(704)])
    assert "706 images, but CUHK has 704" in find_data("cuhk", tmp_path).problems[0]


@pytest.mark.parametrize("dataset", [name for name, entry in SETS.items() if entry.layouts])
def test_nothing_there_says_what_was_looked_for_and_who_offers_it(tmp_path: Path, dataset: str) -> None:
    (tmp_path / SETS[dataset].places[0]).mkdir()
    with pytest.raises(DataError) as caught:
        find_data(dataset, tmp_path)
    told = str(caught.value)
    patterns = {
        "dpdd": "test_c/{source,target} or test/DPDD/{inputC,target} or test/{inputC,target} "
        "or {inputC,target}",
        "lfdof": "test_data/{input,ground_truth}",
        "realdof": "{source,target}",
        "rtf": "{image/0,GT}",
        "cuhk": "*.jpg, *.png, ...",
        "realdefocus": "test/{gt,in}",
        "sdd": "test/{blur,gt}",
    }
    assert f"is not in '{tmp_path}': looked for {patterns[dataset]}, there or in a folder named" in told
    assert told.endswith(SETS[dataset].offered)
    assert "\n" not in told
    assert present_data(dataset, tmp_path) is None


def test_a_set_without_its_sharp_photos_is_incomplete(tmp_path: Path) -> None:
    photos(tmp_path / "DPDD" / "test_c" / "source", canon([1]))
    for find in (find_data, present_data):
        with pytest.raises(
            DataError, match=r"DPDD is incomplete: '.*source' is there, but no 'target' in '.*test_c'"
        ):
            find("dpdd", tmp_path)
    (tmp_path / "DPDD" / "test_c" / "target").mkdir()
    with pytest.raises(DataError, match=r"no photo in '.*target'"):
        find_data("dpdd", tmp_path)


def test_any_pairs_are_not_taken_for_realdof_unless_asked(tmp_path: Path) -> None:
    realdof(tmp_path)
    photos(tmp_path, ["holiday.jpg"])
    assert present_data("realdof", tmp_path) is None
    assert present_data("cuhk", tmp_path) is None
    assert len(find_data("realdof", tmp_path).images) == 50
    assert len(find_data("cuhk", tmp_path).images) == 1
    realdof(tmp_path / "RealDOF")
    named = present_data("realdof", tmp_path / "RealDOF")
    assert named is not None
    assert named.folder == tmp_path / "RealDOF"


def test_unknown_sets_and_splits_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="known are dpdd, lfdof, realdof, rtf, cuhk, realdefocus, sdd, idfd, pairs, photos"
    ):
        find_data("dppd", tmp_path)
    with pytest.raises(UsageError, match="RealDOF has no split 'train': it has test"):
        find_data("realdof", tmp_path, "train")
    assert present_data("realdof", tmp_path, "train") is None


@pytest.mark.parametrize(
    "names", [("source", "target"), ("input", "target"), ("blur", "sharp"), ("inputC", "target")]
)
def test_pairs_of_any_origin(tmp_path: Path, names: tuple[str, str]) -> None:
    blurred, sharp = (photos(tmp_path / name, ["a.png", "b.png"]) for name in names)
    found = find_data("pairs", tmp_path)
    assert found == pairs_data(blurred, sharp)
    assert (found.folder, found.split, found.problems) == (tmp_path, "all", ())
    assert found.images[1] == EvaluationImage("b", blurred / "b.png", sharp / "b.png")


def test_pairs_in_sorted_order_and_what_is_wrong_with_pairs(tmp_path: Path) -> None:
    blurred, sharp = photos(tmp_path / "x", ["a.png", "b.png"]), photos(tmp_path / "y", ["c.png", "d.png"])
    assert [(i.name, i.sharp) for i in pairs_data(blurred, sharp).images] == [
        ("a", sharp / "c.png"),
        ("b", sharp / "d.png"),
    ]
    photos(sharp, ["a.png"])
    with pytest.raises(DataError, match="only one of"):
        pairs_data(blurred, sharp)
    with pytest.raises(DataError, match="there is no folder"):
        pairs_data(blurred, tmp_path / "z")
    with pytest.raises(DataError, match="looked for source with target, input with target"):
        find_data("pairs", tmp_path)


def test_photos_of_any_origin_have_names_of_their_own(tmp_path: Path) -> None:
    photos(tmp_path, ["a.png", "b.jpg"])
    assert [image.name for image in find_data("photos", tmp_path).images] == ["a", "b"]
    photos(tmp_path, ["a.jpg"])
    assert [image.name for image in photos_data(tmp_path).images] == ["a.jpg", "a.png", "b.jpg"]
    with pytest.raises(DataError, match="there is no folder"):
        photos_data(tmp_path / "nowhere")


def test_the_root_is_the_option_or_the_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEFOCUSCTL_DATA", raising=False)
    with pytest.raises(DataError, match="give --root, or set DEFOCUSCTL_DATA"):
        data_root(None)
    monkeypatch.setenv("DEFOCUSCTL_DATA", str(tmp_path))
    assert data_root(None) == tmp_path
    other = photos(tmp_path / "other", [])
    assert data_root(other) == other
    with pytest.raises(DataError, match=r"no folder '.*nowhere': check --root"):
        data_root(tmp_path / "nowhere")


def test_headers_tell_sizes_unequal_pairs_and_damage(tmp_path: Path) -> None:
    realdof(tmp_path)
    (tmp_path / "source" / "02.png").write_bytes(png(8, 6))
    (tmp_path / "source" / "03.png").write_bytes(PNG[:-5])
    (tmp_path / "target" / "04.png").write_text("not a photo")
    (tmp_path / "target" / "05.png").write_bytes(b"")
    headers = read_headers(find_data("realdof", tmp_path))
    assert headers.sizes == ((Size(3, 4), 48), (Size(6, 8), 1))
    damaged, text, empty, unequal = headers.problems
    assert "source/03.png" in damaged
    assert "cut short" in damaged
    assert "target/04.png" in text
    assert "target/05.png" in empty
    assert "two sizes in 1 of 50 pairs, such as source/02.png, target/02.png with 8x6 and 4x3" in unequal


def test_the_size_of_a_file_that_pillow_does_not_open(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 7, 3), np.float32), photometric="rgb")
    with pytest.raises(UnidentifiedImageError):
        Image.open(tmp_path / "a.tif")
    assert read_headers(photos_data(tmp_path)) == (((Size(5, 7), 1),), ())


def test_realdefocus_pairs_every_stop_with_the_closed_aperture(tmp_path: Path) -> None:
    split = tmp_path / "RealBokeh_3MP" / "test"
    photos(split / "in", ["1_f22.JPG", "12_f20.JPG"])
    photos(split / "gt" / "1", ["1_f2.0.JPG", "1_f10.JPG"])
    photos(split / "gt" / "12", ["12_f2.8.JPG", "13_f2.8.JPG"])
    found = find_data("realdefocus", tmp_path)
    assert [(image.name, image.sharp and image.sharp.name) for image in found.images] == [
        ("1_f10", "1_f22.JPG"),
        ("1_f2.0", "1_f22.JPG"),
        ("12_f2.8", "12_f20.JPG"),
    ]
    assert len(found.problems) == 1  # how many there should be is not published
    assert "12/13_f2.8.JPG" in found.problems[0]


def test_sdd_is_read_as_its_training_script_reads_it(tmp_path: Path) -> None:
    for side in ("blur", "gt"):
        photos(tmp_path / "SDD" / "test" / side, ["a.png", "b.png"])
    found = find_data("sdd", tmp_path)
    assert [image.name for image in found.images] == ["a", "b"]
    assert found.problems == ()


def test_a_set_whose_files_are_not_described_can_be_scored_as_pairs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"iDFD are named is not known to this program: .* --dataset pairs"):
        find_data("idfd", tmp_path)
    assert present_data("idfd", tmp_path) is None
