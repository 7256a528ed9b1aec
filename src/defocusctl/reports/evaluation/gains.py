"""What a method gains over the untouched photo, image by image, and the images that show it best."""

from defocusctl.evaluation.results import Evaluation


def input_label(evaluation: Evaluation) -> str | None:
    """The label of the untouched photo among the methods; None if it was not scored."""
    return next((method.label for method in evaluation.methods if method.kind == "input"), None)


def psnr_gains(evaluation: Evaluation, method: str, protocol: str) -> dict[str, float]:
    """PSNR minus the input's in dB, by image, in the order of the rows.

    Images without either PSNR, and those where both are infinite, are left out. The gain itself may be
    infinite.
    """
    label = input_label(evaluation)
    if label is None:
        return {}
    before = {row.image: row.psnr for row in evaluation.of(label, protocol)}
    gains = {
        row.image: row.psnr - before[row.image]
        for row in evaluation.of(method, protocol)
        if row.image in before
    }
    return {image: gain for image, gain in gains.items() if gain == gain}


def choose_pictures(evaluation: Evaluation, method: str, protocol: str) -> list[tuple[str, str]]:
    """Up to three (rank, image): best, median and worst by PSNR gain over the input, no image twice.

    Of an even number the lower of the two middle ones is the median; among equals the order of the images
    decides. Where nothing can be ranked for want of a reference, the first, middle and last image that the
    method has are given, each with the rank ``example``.
    """
    gains = psnr_gains(evaluation, method, protocol)
    if gains:
        ranked = sorted(gains, key=gains.__getitem__, reverse=True)
        names = ("best", "median", "worst")
    else:
        ranked = [row.image for row in evaluation.of(method, protocol)]
        names = ("example",) * 3
    chosen: dict[str, str] = {}
    if ranked:
        places = (0, -1, len(ranked) // 2)  # the ends come first: of two images there is no median
        for name, place in zip((names[0], names[2], names[1]), places, strict=True):
            chosen.setdefault(ranked[place], name)
    return [(chosen[image], image) for image in ranked if image in chosen]
