"""Numbers as a reader wants them: true minus signs, known decimals, a dash for what is not there."""

from math import isinf, isnan

METRIC_NAMES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "mae": "MAE", "lpips": "LPIPS"}
DECIMALS = {"psnr": 3, "ssim": 4, "mae": 4, "lpips": 4}
MISSING = "–"
MINUS = "\N{MINUS SIGN}"


def plain(value: float | None, decimals: int) -> str:
    """A number with a fixed number of decimals."""
    if value is None or isnan(value):
        return MISSING
    if isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    return f"{value:.{decimals}f}".replace("-", MINUS)


def signed(value: float, decimals: int) -> str:
    """A difference: always with its sign, except for what rounds to zero."""
    text = plain(value, decimals)
    if text == MISSING:
        return text
    if not text.strip(f"0.{MINUS}"):
        return text.removeprefix(MINUS)
    return text if text.startswith(MINUS) else f"+{text}"


def short(value: float | None) -> str:
    """A count in three significant digits: 3.97 M."""
    if value is None:
        return MISSING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            scaled = value / size
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{scaled:.{digits}f} {unit}"
    return f"{value:.0f}"
