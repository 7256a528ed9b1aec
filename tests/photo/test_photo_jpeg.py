"""JPEG: quality not worse than the source's, and no grey filling passed off as a photo."""

import io

import numpy as np
import pytest
from PIL import Image

from defocusctl.errors import InputError
from defocusctl.photo import read_photo
from defocusctl.photo.formats.jpeg_segments import ZIGZAG, read_layout
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten


def tables_of(data: bytes) -> list[np.ndarray]:
    """The quantisation table of each component, as Pillow reads them."""
    with Image.open(io.BytesIO(data)) as image:
        return [np.array(image.quantization[layer[3]]).reshape(8, 8) for layer in image.layer]


def chroma_share(data: bytes) -> tuple[int, int]:
    """How many luma samples there are per chroma sample, horizontally and vertically."""
    components = read_layout(data).frame.components
    return (
        components[0].horizontal // components[-1].horizontal,
        components[0].vertical // components[-1].vertical,
    )


def test_zigzag_starts_and_ends_like_the_standard() -> None:
    assert ZIGZAG[:10] == (0, 1, 8, 16, 9, 2, 3, 10, 17, 24)
    assert ZIGZAG[-3:] == (55, 62, 63) and sorted(ZIGZAG) == list(range(64))


@pytest.mark.parametrize("quality", [30, 75, 92, 100])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_tables_and_subsampling_are_used_again(quality: int, subsampling: int, progressive: bool) -> None:
    options = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
    data = files.pillow(files.scene(), "JPEG", **options)
    photo = read_photo(data)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(photo.pixels, np.asarray(image))
    again = rewritten(photo)
    for before, after in zip(tables_of(data), tables_of(again), strict=True):
        np.testing.assert_array_equal(before, after)
    assert chroma_share(again) == chroma_share(data)


@pytest.mark.parametrize("name", ["icc-exif.jpg", "orientation6.jpg", "samsung-orientation6.jpg"])
def test_camera_files_are_never_written_coarser(name: str) -> None:
    data = (files.DATA / name).read_bytes()
    again = rewritten(read_photo(data))
    for before, after in zip(tables_of(data), tables_of(again), strict=True):
        assert np.all(after <= before)
    assert np.prod(chroma_share(again)) <= np.prod(chroma_share(data))


def test_turned_photos_get_tables_that_fit_both_ways() -> None:
    table = list(range(1, 65))
    exif = b"Exif\0\0" + files.exif_block(6)
    data = files.pillow(files.scene(), "JPEG", qtables=[table, table], subsampling=1, exif=exif)
    after = tables_of(rewritten(read_photo(data)))[0]
    square = np.array(table).reshape(8, 8)
    np.testing.assert_array_equal(after, np.minimum(square, square.T))
    assert chroma_share(rewritten(read_photo(data))) == (1, 1)


def test_quality_overrides() -> None:
    photo = read_photo(files.pillow(files.scene(), "JPEG", quality=95))
    expected = tables_of(files.pillow(files.scene(), "JPEG", quality=40))
    np.testing.assert_array_equal(tables_of(rewritten(photo, quality=40))[0], expected[0])


def test_grey_stays_grey() -> None:
    data = files.pillow(files.scene(channels=1), "JPEG", quality=88)
    photo = read_photo(data)
    assert photo.pixels.shape == (24, 40, 1)
    with Image.open(io.BytesIO(rewritten(photo))) as image:
        assert image.mode == "L"
    np.testing.assert_array_equal(tables_of(rewritten(photo))[0], tables_of(data)[0])


def test_rgb_coded_files_stay_rgb_coded() -> None:
    data = files.pillow(files.scene(), "JPEG", quality=90, keep_rgb=True, subsampling=0)
    photo = read_photo(data)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(photo.pixels, np.asarray(image))
    again = rewritten(photo)
    assert b"Adobe" in again
    assert np.abs(read_photo(again).pixels.astype(int) - photo.pixels).mean() < 1


def test_iptc_comment_and_resolution_survive() -> None:
    data = (files.DATA / "icc-exif.jpg").read_bytes()
    segments = read_layout(data).segments
    again = read_layout(rewritten(read_photo(data))).segments
    assert [s for s in segments if s[0] == 0xFE] == [s for s in again if s[0] == 0xFE]
    iptc = [
        next(s for m, s in found if m == 0xED).partition(b"8BIM\x04\x04")[2][:300]
        for found in (segments, again)
    ]
    assert iptc[0] == iptc[1] and b"The Gateshead Angel" in iptc[1]
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(rewritten(read_photo(data)))) as after:
        assert after.info["dpi"] == before.info["dpi"]
        assert after.info["icc_profile"] == before.info["icc_profile"]


def test_a_profile_of_several_segments_comes_back_whole() -> None:
    profile = files.ICC + bytes(range(256)) * 600
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    photo = read_photo(files.pillow(files.scene(), "JPEG", icc_profile=profile))
    with Image.open(io.BytesIO(rewritten(photo))) as image:
        assert image.info["icc_profile"] == profile


def test_cmyk_is_refused() -> None:
    buffer = io.BytesIO()
    Image.fromarray(files.scene()).convert("CMYK").save(buffer, "JPEG")
    with pytest.raises(InputError, match="CMYK"):
        read_photo(buffer.getvalue())


def test_second_pictures_are_left_out_and_mentioned() -> None:
    buffer = io.BytesIO()
    first, second = (Image.fromarray(files.scene()[:, ::step].copy()) for step in (1, -1))
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    photo = read_photo(buffer.getvalue())
    (warning,) = photo.warnings
    assert photo.format == "JPEG" and "further pictures" in warning
    assert read_photo(rewritten(photo)).warnings == ()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9", b"\0" * 3000])
def test_cut_files_are_refused_whatever_their_end(progressive: bool, share: float, end: bytes) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)
    data = files.pillow(noise, "JPEG", quality=90, progressive=progressive)
    with pytest.raises(InputError, match="damaged or cut short"):
        read_photo(data[: int(len(data) * share)] + end)


def test_flat_photos_are_not_mistaken_for_cut_ones() -> None:
    for progressive in (False, True):
        for size in ((64, 64), (17, 9), (1, 1)):
            flat = np.full((*size, 3), 200, np.uint8)
            assert read_photo(files.pillow(flat, "JPEG", progressive=progressive)).warnings == ()


def test_bytes_after_the_end_do_not_matter() -> None:
    data = files.pillow(files.scene(), "JPEG", quality=90)
    np.testing.assert_array_equal(read_photo(data + b"\0" * 100 + data).pixels, read_photo(data).pixels)
