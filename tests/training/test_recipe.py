"""A recipe with a mistake in it is one line that names the key; the shipped ones are as the papers say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from defocusctl.errors import DataError
from defocusctl.training.recipe import Recipe, Span, Stage, read_recipe

ROOT = Path(__file__).parents[2]
GOOD = """
model = "iniknet"
[data]
sharp = ["sharp"]
[[stages]]
steps = 10
"""

MISTAKES = {
    'modle = "iniknet"': "unknown key 'modle'",
    "[optimiser]\nlearning_rat = 1.0": "optimiser: unknown key 'learning_rat'",
    "[optimiser]\nlearning_rate = -1.0": "optimiser.learning_rate",
    "[optimiser]\nlearning_rate = inf": "optimiser.learning_rate",
    "[optimiser]\nema_decay = 1.0": "optimiser.ema_decay",
    '[optimiser]\nschedule = "linear"': "optimiser.schedule",
    '[loss]\npixel = "lpips"': "loss.pixel",
    "[loss]\nfrequency_weight = nan": "loss.frequency_weight",
    "[data.rendering]\nlevels = 2": "data.rendering.levels",
    "[data.rendering]\nmax_radius = [3.0, 1.0]": "data.rendering.max_radius",
    "[data.rendering]\nmax_radius = [0.0, 1.0]": "data.rendering.max_radius",
    "[data.rendering.camera]\njpeg_quality = [90, 101]": "data.rendering.camera.jpeg_quality",
    "[data.rendering.camera]\njpeg_quality = [90, 80]": "data.rendering.camera.jpeg_quality",
    "[data.rendering.camera]\nnoise = 2": "data.rendering.camera.noise",
    "[data.rendering.aperture]\nblades = [2, 5]": "data.rendering.aperture.blades",
    "[data.rendering.geometry]\ndepth = 0\nplane = 0\nlayers = 0\nsmooth = 0": "geometry",
    "[data.rendering.geometry]\nplane = 0\nlayers = 0\nsmooth = 0": "stages entry 1 has a geometry of depth",
    "[[stages]]\nsteps = 1\nrendering.geometry = { plane = 0, layers = 0, smooth = 0 }": (
        "stages entry 2 has a geometry of depth scenes only; give data.depth folders"
    ),
    "[data.rendering]\nmax_radius = [7.0]": "data.rendering.max_radius entry 2 is missing",
    "[[stages]]\nsteps = 0": "stages entry 2, steps = 0",
    "[[stages]]\nsteps = true": "stages entry 2, steps = True",
    '[[stages]]\nsteps = "4"': "stages entry 2, steps = '4'",
    "network = { width = 0 }": "'width' must be above 0",
    "[[stages]]\nsteps = 1\ncrop = 40": "stages entry 2, crop = 40",
    "[[stages]]\nsteps = 1\noptimiser = { learning_rate = -1.0 }": "stages entry 2, optimiser.learning_rate",
    "[[stages]]\nsteps = 1\nrendering = { sharpness = 1 }": "stages entry 2, rendering: unknown key",
    "[[stages]]\nsteps = 1\nsharp = []": "stages entry 2 has an empty 'sharp'",
    "[[stages]]\nsteps = 1\nrestart_from = 'best'": "stages entry 2, restart_from",
    "[[stages]]\nsteps = 1\noptimiser = { algorithm = 'muon' }": "stages entry 2 changes 'algorithm'",
    "[[stages]]\nsteps = 1\noptimiser = { weight_decay = 0.1 }": "stages entry 2 changes 'weight_decay'",
    "[[stages]]\nsteps = 1\noptimiser = { ema_decay = 0.1 }": "stages entry 2 changes 'ema_decay'",
    "[[stages]]\nsteps = 5\noptimiser = { schedule_steps = 14 }": "stages entry 2 goes on after the end",
    "[[stages]]\nsteps = 1\nrestart_from = [1, 2]": "stages entry 2 can only restart from stages before it",
    "[[stages]]\nsteps = 1\nrestart_from = []": "stages entry 2, restart_from",
    "mean_of = [1, 3]": "'mean_of' names stages that are not there; there are 1",
    "restart_from = 'last'": "stages entry 1 has nothing to restart from",
    "network = { width = [4] }": "network.width",
    'variant = "NonMagic"': "iniknet has no variant 'NonMagic'",
    'start_from = "a.safetensors"\nnetwork = { width = 16 }': "'start_from' brings its own sizes",
    '[validation]\nsharp = ["x"]\npairs = { rendered = "y" }': "validation: 'rendered' is the name",
}


@pytest.mark.parametrize(("mistake", "told"), MISTAKES.items())
def test_a_mistake_is_told_with_its_key(tmp_path: Path, mistake: str, told: str) -> None:
    path = tmp_path / "recipe.toml"
    top_level = not mistake.startswith(("[", "restart_from"))
    path.write_text(mistake + GOOD if top_level else GOOD + mistake)
    with pytest.raises(DataError) as caught:
        read_recipe(path)
    assert told in str(caught.value)
    assert ("stages entry" in str(caught.value)) == ("stages entry" in told)
    assert "recipe.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", "data: give 'sharp' folders, 'pairs', or both"),
        ('sharp = ["sharp"]\nrendered_weight = 0.0', "above 0"),
        ("[[data.pairs]]\nblurred = 'a'\nsharp = 'b'\nweight = 0.0", "above 0"),
    ],
)
def test_there_must_be_something_to_learn_from(tmp_path: Path, data: str, told: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD.replace('sharp = ["sharp"]', data))
    with pytest.raises(DataError, match=told):
        read_recipe(path)


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    with pytest.raises(DataError, match="cannot read"):
        read_recipe(path)
    with pytest.raises(DataError, match="cannot read"):
        read_recipe(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        read_recipe(path)
    path.write_text("model =\nseed = 1")
    with pytest.raises(DataError, match=r"not valid TOML.*line 1"):
        read_recipe(path)
    path.write_text("")
    with pytest.raises(DataError, match="model"):
        read_recipe(path)


def test_shipped_recipes_are_valid() -> None:
    recipes = sorted((ROOT / "recipes").glob("*.toml"))
    models = {path.stem: read_recipe(path).model for path in recipes}
    own = {"own-photos", "first-run"}
    assert models.keys() >= {"iniknet", "nrknet", "iniknet-paper", "nrknet-paper", *own}
    assert all(stem.startswith(model) for stem, model in models.items() if stem not in own)


SHARP = (Path("sharp"),)
STAGES = """
model = "iniknet"
seed = 2
[data]
sharp = ["sharp"]
rendering = { levels = 9, camera = { noise = 0.5, jpeg = 0.5 } }
[optimiser]
learning_rate = 1e-3
clip_norm = 0.5
[[stages]]
steps = 10
[[stages]]
steps = 20
seed = 3
sharp = ["sharp", "more"]
rendering = { levels = 5, camera = { jpeg = 0.1 } }
optimiser = { learning_rate = 2e-3 }
[[stages]]
restart_from = "averaged"
steps = 40
optimiser = { algorithm = "muon", schedule_steps = 50 }
[[stages]]
restart_from = "last"
steps = 5
"""


def test_a_stage_says_only_what_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(STAGES)
    recipe = read_recipe(path)
    first, second, third, last = recipe.stages
    assert (first.seed, first.rendering, first.optimiser) == (2, recipe.data.rendering, recipe.optimiser)
    assert (second.seed, second.rendering.levels, second.optimiser.clip_norm) == (3, 5, 0.5)
    assert (second.rendering.camera.noise, second.rendering.camera.jpeg) == (0.5, 0.1)
    assert second.optimiser.learning_rate == 2e-3
    assert [stage.sharp for stage in (first, second, third)] == [SHARP, (*SHARP, Path("more")), SHARP]
    assert (third.seed, third.rendering) == (2, recipe.data.rendering), "not those of the stage before"
    assert third.optimiser == recipe.optimiser.model_copy(update={"algorithm": "muon", "schedule_steps": 50})
    assert (last.batch, last.crop) == (4, 256)
    assert [span[1:] for span in recipe.spans] == [
        (0, 10, 0, 30),  # start, end, origin, steps of the schedule
        (10, 30, 0, 30),
        (30, 70, 30, 50),
        (70, 75, 70, 5),
    ]
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
def test_the_cards_have_the_steps_and_seeds_of_the_bundled_recipes(model: str) -> None:
    recipe = read_recipe(ROOT / "recipes" / f"{model}.toml")
    parts: dict[int, list[Span]] = {}
    for span in recipe.spans:
        parts.setdefault(span.origin, []).append(span)
    card = (ROOT / "docs" / "weights" / f"{model}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| (\d+)(?: of (\d+))? \| ([\d,]+) \| (\d+) \|", card, flags=re.MULTILINE)
    assert len(rows) == len(parts)
    for (steps, planned, samples, seed), spans in zip(rows, parts.values(), strict=True):
        assert sum(span.stage.steps for span in spans) == int(steps)
        assert spans[-1].schedule_steps == int(planned or steps)
        assert sum(span.stage.steps * span.stage.batch for span in spans) == int(samples.replace(",", ""))
        assert {span.stage.seed for span in spans} == {int(seed)}


@pytest.mark.parametrize(("model", "steps", "rate"), [("iniknet", 400_000, 2e-4), ("nrknet", 350_000, 1e-4)])
def test_paper_recipes_say_what_the_papers_say(model: str, steps: int, rate: float) -> None:
    recipe = read_recipe(ROOT / "recipes" / f"{model}-paper.toml")
    assert [(stage.steps, stage.batch, stage.crop) for stage in recipe.stages] == [(steps, 4, 256)]
    assert (recipe.optimiser.learning_rate, recipe.optimiser.schedule) == (rate, model)
    assert (recipe.optimiser.weight_decay, recipe.optimiser.clip_norm) == (0, None)
    assert (recipe.loss.pixel, recipe.loss.frequency_weight, recipe.loss.reblur_weight) == ("mse", 0.1, 0.1)
    assert recipe.loss.perceptual_weight == (0.1 if model == "iniknet" else 0)
    assert recipe.initialisation == "published"
    assert recipe.optimiser.ema_decay == 0


INHERITED = "as at the top"


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted key and default of every setting, with the settings of nested tables in their place."""
    for name, field in model.model_fields.items():
        candidates = (field.annotation, *get_args(field.annotation))
        table = next((t for t in candidates if isinstance(t, type) and issubclass(t, BaseModel)), None)
        if model is Stage and name in ("seed", "sharp", "rendering", "optimiser"):
            yield f"{prefix}{name}", INHERITED
        elif table is None:
            default = "required" if field.is_required() else field.get_default(call_default_factory=True)
            yield f"{prefix}{name}", default
        else:
            yield from keys(table, f"{prefix}{name}.")


def test_the_documentation_lists_every_key_with_its_default() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    table = text.split("| key | default |")[1].split("\n\n")[0]
    documented = dict(re.findall(r"^\| `([a-z0-9_.]+)` \| ([^|]+?) \|", table, flags=re.MULTILINE))
    assert set(documented) == {key for key, _ in keys(Recipe)}
    for key, default in keys(Recipe):
        shown = "none" if default is None else default
        if isinstance(shown, tuple | dict):
            shown = f"[{', '.join(str(part) for part in shown)}]" if shown else "none"
        assert documented[key] == str(shown), key
