"""The page of the Space; what it does with a photo is in restore.py."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from restore import MODELS, NO_LIMIT, SCALES, Job, message, restore, show

from defocusctl import DefocusctlError

MAX_MEGABYTES = float(os.environ.get("MAX_MEGABYTES", "60"))
MAX_MEGAPIXELS = float(os.environ.get("MAX_MEGAPIXELS", "12"))
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "photos", "concurrency_limit": 1}
WAITING = 20
KEPT_SECONDS = 1800

INTRODUCTION = f"""# Remove out-of-focus blur
For a photo that is out of focus, not for motion blur. The result has the depth and the metadata of your file.
Up to {MAX_MEGAPIXELS:g} megapixels and {MAX_MEGABYTES:g} MB; photos are deleted within an hour. On a free
processor, large photos take minutes. For larger ones, and to keep them to yourself, install defocusctl."""


def deblur(path: str | None, model: str, scale: str, progress: gr.Progress = gr.Progress()) -> Job:  # noqa: B008
    if path is None:
        raise gr.Error("Choose a photo first.")
    source = Path(path)
    with _errors(source):
        return restore(
            source,
            model,
            scale,
            max_megapixels=MAX_MEGAPIXELS,
            on_tile=lambda done, total: progress((done, total), unit="tiles"),
        )


def adjust(job: Job | None, strength: float, max_blur: float) -> tuple[Any, ...]:
    if job is None:  # a slider was moved before there was a photo
        return (gr.skip(),) * 4
    with _errors(job.source):
        shown = show(job, strength, max_blur)
    pictures = (str(shown.before), str(shown.after))
    return (
        pictures,
        str(shown.blur_map),
        gr.update(value=str(shown.download), interactive=True),
        _list(shown.notes),
    )


@contextmanager
def _errors(source: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not isinstance(error, DefocusctlError):
            logging.exception("a bug, with a photo of %d bytes", source.stat().st_size)
        raise gr.Error(message(error, source), print_exception=False) from None


def _list(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def page() -> gr.Blocks:
    with gr.Blocks(title="Deblur (defocus)", delete_cache=(600, KEPT_SECONDS)) as blocks:
        gr.Markdown(INTRODUCTION)
        job = gr.State(None, time_to_live=KEPT_SECONDS)
        with gr.Row():
            with gr.Column():
                photo = gr.File(label="Photo", type="filepath")
                model = gr.Radio(MODELS, value=MODELS[0], label="Network")
                scale = gr.Dropdown(
                    SCALES, value=SCALES[0], label="Scale at which the network sees the photo"
                )
                start = gr.Button("Deblur", variant="primary")
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
                max_blur = gr.Slider(
                    0,
                    100,
                    NO_LIMIT,
                    step=0.5,
                    label="Largest blur",
                    info="Leave alone what is blurred by more pixels; 0: no limit",
                )
            with gr.Column(scale=2):
                slider = gr.ImageSlider(
                    label="Before and after", type="filepath", interactive=False, buttons=["fullscreen"]
                )
                download = gr.DownloadButton("Download in full quality", interactive=False)
                notes = gr.Markdown()
                blur_map = gr.Image(label="Blur map", type="filepath", interactive=False, buttons=[])
        adjusting: dict[str, Any] = {
            "fn": adjust,
            "inputs": [job, strength, max_blur],
            "outputs": [slider, blur_map, download, notes],
            "show_progress": "minimal",
            **ONE_AT_A_TIME,
        }
        start.click(deblur, [photo, model, scale], job, show_progress_on=slider, **ONE_AT_A_TIME).success(
            **adjusting
        )
        strength.release(**adjusting)
        max_blur.release(**adjusting)
    return blocks


if __name__ == "__main__":
    page().queue(max_size=WAITING).launch(max_file_size=f"{MAX_MEGABYTES:g}mb", show_error=False)
