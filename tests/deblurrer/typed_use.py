"""What a type checker makes of a user's program; ``make lint`` checks it, nothing runs it."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from defocusctl import Deblurrer, DeblurResult


def types_of_results(deblurrer: Deblurrer, photo: Image.Image) -> None:
    array = assert_type(deblurrer.deblur("photo.jpg"), DeblurResult[npt.NDArray[Any]])
    assert_type(array.image, npt.NDArray[Any])
    assert_type(array.save("sharper.jpg", quality=90), tuple[str, ...])
    assert_type(array.blur_radius, npt.NDArray[np.float32])
    assert_type(deblurrer.deblur(photo).image, Image.Image)
    assert_type(deblurrer.deblur(torch.zeros(2, 3, 8, 8)).image, torch.Tensor)
    assert_type(deblurrer.deblur([torch.zeros(3, 8, 8)]), list[DeblurResult[torch.Tensor]])
    paths = sorted(Path("holiday").glob("*.jpg"))
    assert_type(deblurrer.deblur(paths), list[DeblurResult[npt.NDArray[Any]]])
    assert_type(deblurrer.deblur(["a.jpg", "b.jpg"]), list[DeblurResult[npt.NDArray[Any]]])
