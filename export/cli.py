"""``edgeworthy export``: export networks, prove each file, print what came of it."""

import difflib
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.cli_diagnose import diagnose
from export.cli_inspect import inspect
from models.commas import joined

if TYPE_CHECKING:
    from export.cli_auto import Exporter
    from export.pipeline import Outcome, Request, Update
    from models.preprocess import Preprocessing

Reporter = Callable[["Update | Outcome"], None]
AUTO_DROP = 0.5


class _Verbs(click.Group):
    """Commands about files that are there, beside exporting itself, which needs no word."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first word; tell the nearest where there is none."""
        if args[0] not in self.commands:
            near = difflib.get_close_matches(args[0], self.commands, 1)
            meant = f"'{ctx.command_path} {near[0]}'" if near else f"'--model {args[0]}'"
            raise click.UsageError(
                f"no command '{args[0]}'; did you mean {meant}? "
                f"(the commands are {', '.join(self.commands)})",
                ctx,
            )
        return super().resolve_command(ctx, args)


@click.group(
    "export",
    cls=_Verbs,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME[,NAME]",
    help="A network of the zoo (wild cards and 'all' work), FILE.py:FACTORY, or FILE.pt2.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    callback=joined,
    default=("all",),
    show_default=True,
    metavar="NAMES",
    help="onnx (opset 18; 19 at int8, 21 at int4-weights), tflite, coreml, torch (the float "
    "reference); 'all' is the first three.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    callback=joined,
    default=("fp32",),
    show_default=True,
    metavar="NAMES",
    help="fp32, fp16, int8, int8-weights, int4-weights; 'all' is the first three.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("artifacts"),
    show_default=True,
    help="Where artifacts go, each in MODEL/FORMAT-PRECISION.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Weights for a network of the zoo: .safetensors or .pth. Without: random.",
)
@click.option(
    "--input",
    "shapes",
    multiple=True,
    metavar="1x3x224x224",
    help="Input shape of a network of your own; once for each input.",
)
@click.option("--name", help="The artifact's name, where the model's will not do.")
@click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    help="Batch that the file is made for (default: that of --input, or 1).",
)
@click.option(
    "--data",
    metavar="NAME|DIR",
    help="Images for calibration and proof: fashion-mnist, or a folder by class.",
)
@click.option(
    "--images",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Calibration images, taken evenly from the classes.",
)
@click.option(
    "--calibration",
    type=click.Choice(["data", "random"]),
    default="data",
    help="'random' sets int8 ranges by noise: right for speed and size, not accuracy.",
)
@click.option(
    "--calibration-method",
    "method",
    type=click.Choice(["min-max", "percentile", "entropy"]),
    default="min-max",
    show_default=True,
    help="What sets an activation's int8 range from the values it takes.",
)
@click.option(
    "--percentile",
    type=click.FloatRange(90, 100),
    default=99.99,
    show_default=True,
    help="Share of values, in percent, that the percentile method keeps.",
)
@click.option(
    "--keep-float",
    multiple=True,
    metavar="LAYER[,LAYER]",
    help="Layers of an int8 file that stay float, as 'models show' names them; wild cards work.",
)
@click.option(
    "--max-accuracy-drop",
    "drop",
    type=click.FloatRange(0, 100),
    metavar="POINTS",
    help="Top-1 that a file may lose against the float network on test images of --data; more "
    "fails the export.",
)
@click.option(
    "--auto",
    is_flag=True,
    help="Mend int8 files that lose more: the fewest layers stay float (default: 0.5 points).",
)
@click.option(
    "--test-images",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="How many test images the accuracy is measured on.",
)
@click.option(
    "--io",
    type=click.Choice(["float32", "int8"]),
    default="float32",
    show_default=True,
    help="Number type of an int8 TFLite file's inputs and outputs.",
)
@click.option(
    "--coreml-input",
    type=click.Choice(["tensor", "image"]),
    default="tensor",
    show_default=True,
    help="'image': an app gives a Core ML file a picture, which the file itself normalises.",
)
@click.option(
    "--coreml-output",
    type=click.Choice(["scores", "classes"]),
    default="scores",
    show_default=True,
    help="'classes': a Core ML file answers with a class's name and all probabilities.",
)
@click.option(
    "--bake",
    multiple=True,
    callback=joined,
    metavar="NAMES",
    help="Make part of every file: preprocess (it then takes pixels, 0 to 255, and normalises "
    "them itself), softmax (it gives probabilities), or 'all'.",
)
@click.option("--mean", metavar="M,M,M", help="Preprocessing of a network of your own: mean.")
@click.option("--std", metavar="S,S,S", help="Preprocessing of a network of your own: deviation.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="For random weights and noise."
)
@click.option("--jobs", type=click.IntRange(1), help="Steps at once (default: as memory allows).")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Export networks and prove that each file is still the same function.

    Exit status: 0 every file made and none refuted; 1 a conversion or a proof failed; 2 wrong
    usage or input. Core ML files are run by a reference interpreter, operator by operator, and
    marked "verified (emulated)": only a Mac can show what a device makes of them.
    """
    if context.invoked_subcommand is not None:
        return _refuse_options(context)
    if not options["models"]:
        raise click.MissingParameter(param_hint="'--model'", param_type="option")
    from devices.local import LocalDevice
    from devices.workers import Workers
    from export import pipeline
    from export.child import Children
    from export.cli_prove import decide, prove

    request = _request(options)
    keys = [f"{s.name}/{v.name}" for s in request.sources for v in request.variants]
    try:
        with (
            _progress(keys) as report,
            Workers(LocalDevice()) as workers,
            closing(Children()) as children,
        ):
            outcomes = pipeline.export_all(
                request, partial(prove, workers=workers), report, children=children
            )
            if options["drop"] is not None or options["auto"]:
                again = partial(
                    pipeline.export_all,
                    prove=partial(decide, workers=workers),
                    report=lambda _: None,
                    children=children,
                )
                outcomes = _budgeted(request, options, outcomes, report, again)
    except KeyboardInterrupt:
        click.echo(f"interrupted; what was finished is in {request.out}", err=True)
        sys.exit(130)
    _print(outcomes, as_json=options["as_json"])
    sys.exit(max((o.exit_code for o in outcomes), default=0))


def _budgeted(
    request: "Request",
    options: dict[str, Any],
    outcomes: "list[Outcome]",
    report: Reporter,
    again: "Exporter",
) -> "list[Outcome]":
    """Hold the files to the accuracy budget; `again` exports one anew."""
    from export.cli_auto import Budget, budgeting

    drop = AUTO_DROP if options["drop"] is None else options["drop"]
    budget = Budget(drop, options["test_images"], options["auto"])
    held: list[Outcome] = []
    with budgeting(request, budget, report, again) as budgeted:
        try:
            for outcome in outcomes:
                held.append(budgeted.hold(outcome))  # noqa: PERF401  an interrupt keeps these
        except KeyboardInterrupt:
            left = [o.key for o in outcomes[len(held) :] if not o.error]
            click.echo(f"not held to the accuracy budget: {', '.join(left)}", err=True)
            raise
    return held


def _refuse_options(context: click.Context) -> None:
    """Refuse an option of exporting itself before a command's name: it would be ignored."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name
        and context.get_parameter_source(parameter.name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        name = context.invoked_subcommand
        raise click.UsageError(f"write {given[0]} after '{name}', not before", context)


def _request(options: dict[str, Any]) -> "Request":
    """Check everything that can be checked before a process starts."""
    from export import precision, source
    from export.jobs import CoremlInterface, Quantizing
    from export.pipeline import Request

    sources = source.find(
        [name for text in options["models"] for name in _split(text)],
        weights=options["weights"],
        shapes=list(options["shapes"]),
        seed=options["seed"],
        name=options["name"],
    )
    batch = options["batch"] or (sources[0].shapes[0][0] if sources[0].shapes else 1)
    bake = precision.to_bake(_split(options["bake"] or ""))
    variants = precision.plan(
        _split(options["formats"]), _split(options["precisions"]), options["io"], batch, bake
    )
    calibrated = any(v.precision.calibrated for v in variants)
    kept = tuple(name for text in options["keep_float"] for name in _split(text))
    if options["data"] is None and (options["auto"] or options["drop"] is not None):
        raise precision.ExportError(
            "accuracy is measured on images: add --data DIR (a folder of images by class, or "
            "fashion-mnist)"
        )
    if "preprocess" in bake and options["coreml_input"] == "image":
        raise precision.ExportError(
            "--bake preprocess and --coreml-input image both put normalisation into the file: "
            "choose one"
        )
    precision.require_integers(variants, kept)
    precision.require_images(calibrated, options["calibration"], options["data"])
    return Request(
        sources=tuple(sources),
        variants=tuple(variants),
        out=options["out"],
        batch=batch,
        data=_checked_data(options["data"]),
        calibration=options["calibration"] if calibrated else None,
        images=options["images"],
        quantizing=Quantizing(
            method=options["method"], percentile=options["percentile"], keep_float=kept
        ),
        preprocessing=_preprocessing(options),
        bake=bake,
        coreml=CoremlInterface(
            image=options["coreml_input"] == "image",
            classes=options["coreml_output"] == "classes",
        ),
        jobs=options["jobs"],
    )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _checked_data(data: str | None) -> str | None:
    """Open the data set once here, so that a wrong path costs a second and not a conversion."""
    if data is None:
        return None
    from models.data import open_dataset

    open_dataset(data, "train")
    return data if not Path(data).is_dir() else str(Path(data).resolve())


def _preprocessing(options: dict[str, Any]) -> "Preprocessing | None":
    from export.precision import ExportError
    from export.source import parse_shape
    from models.preprocess import Preprocessing

    mean, std, shapes = options["mean"], options["std"], options["shapes"]
    if mean is None and std is None:
        return None
    if mean is None or std is None or len(shapes) != 1:
        raise ExportError("--mean and --std go together, with one --input 1xCxHxW")
    try:
        _, channels, height, width = parse_shape(shapes[0])
        return Preprocessing(
            channels=channels,  # type: ignore[arg-type]
            size=(height, width),
            mean=tuple(float(m) for m in _split(mean)),
            std=tuple(float(s) for s in _split(std)),
        )
    except ValueError as error:
        raise ExportError(
            f"--mean {mean} --std {std} do not fit --input {shapes[0]}: {error}"
        ) from None


def _progress(keys: list[str]) -> Any:
    from export.progress import Lines, Live

    return Live(keys) if sys.stderr.isatty() else Lines()


def _print(outcomes: "list[Outcome]", *, as_json: bool) -> None:
    from export import progress

    click.echo(progress.as_json(outcomes) if as_json else progress.table(outcomes), nl=as_json)


for _command in (diagnose, inspect):
    command.add_command(_command)
