"""``edgeworthy export``: export networks, prove each file, print what came of it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from export.artifact import Manifest, Proof
    from export.pipeline import Outcome, Outputs, Request, Update
    from models.preprocess import Preprocessing

Reporter = Callable[["Update | Outcome"], None]


@click.command("export", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--model",
    "models",
    required=True,
    multiple=True,
    metavar="NAME[,NAME]",
    help="A network of the zoo (wild cards and 'all' work), FILE.py:FACTORY, or FILE.pt2.",
)
@click.option(
    "--format",
    "formats",
    default="all",
    show_default=True,
    metavar="NAMES",
    help="onnx, tflite, coreml, torch (the float reference); 'all' is the first three.",
)
@click.option(
    "--precision",
    "precisions",
    default="fp32",
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
@click.option("--mean", metavar="M,M,M", help="Preprocessing of a network of your own: mean.")
@click.option("--std", metavar="S,S,S", help="Preprocessing of a network of your own: deviation.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="For random weights and noise."
)
@click.option("--jobs", type=click.IntRange(1), help="Steps at once (default: as memory allows).")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
def command(**options: Any) -> None:
    """Export networks and prove that each file is still the same function.

    Exit status: 0 every file made and none refuted; 1 a conversion or a proof failed; 2 wrong
    usage or input. Core ML files are run by a reference interpreter, operator by operator, and
    marked "verified (emulated)": only a Mac can show what a device makes of them.
    """
    from export import pipeline

    request = _request(options)
    keys = [f"{s.name}/{v.name}" for s in request.sources for v in request.variants]
    try:
        with _progress(keys) as report:
            outcomes = pipeline.export_all(request, prove, report)
    except KeyboardInterrupt:
        click.echo(f"interrupted; what was finished is in {request.out}", err=True)
        sys.exit(130)
    _print(outcomes, as_json=options["as_json"])
    sys.exit(max((o.exit_code for o in outcomes), default=0))


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
    variants = precision.plan(
        _split(options["formats"]), _split(options["precisions"]), options["io"], batch
    )
    calibrated = any(v.precision.calibrated for v in variants)
    kept = tuple(name for text in options["keep_float"] for name in _split(text))
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


def prove(directory: Path, manifest: "Manifest") -> "tuple[Proof, Outputs | None]":
    """Run an artifact on its golden inputs in a worker on this machine, and judge the outputs."""
    import msgspec

    from devices.device import Job, WorkerError
    from devices.local import LocalDevice
    from export import verify
    from export.artifact import Proof

    device = LocalDevice()
    runtimes = device.runtimes(manifest.format)
    if not runtimes:
        return Proof(verified=None, reason=_unproved(manifest.format)), None
    batch = manifest.contract.inputs[0].shape[0]
    job = Job(artifact=directory, runtime=runtimes[0], threads=1, batch=batch)
    try:
        session = device.open(job)
        try:
            outputs = session.verify()
            ready, alarms = session.ready, session.alarms
        finally:
            session.close()
    except WorkerError as error:
        refuted = None if error.cause == "unsupported" else False
        reason = f"{runtimes[0]} could not run it: {error.detail}"
        return Proof(verified=refuted, reason=reason, runtime=runtimes[0]), None
    _, expected = verify.golden(directory, manifest)
    proof = verify.prove(manifest, expected, outputs, alarms)
    return msgspec.structs.replace(
        proof,
        runtime=ready.runtime,
        runtime_version=ready.runtime_version,
        emulated=ready.reference,
    ), outputs


def _unproved(format: str) -> str:
    if format == "coreml":
        return "the reference interpreter needs coremltools: pip install 'edgeworthy[coreml]'"
    return f"no runtime for {format} is installed here: pip install 'edgeworthy[bench]'"


def _progress(keys: list[str]) -> Any:
    from export.progress import Lines, Live

    return Live(keys) if sys.stderr.isatty() else Lines()


def _print(outcomes: "list[Outcome]", *, as_json: bool) -> None:
    from export import progress

    click.echo(progress.as_json(outcomes) if as_json else progress.table(outcomes), nl=as_json)
