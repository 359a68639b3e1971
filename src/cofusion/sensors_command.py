"""The verb sensors: estimate the sensors of a pair that has no reference.

Only what `cofusion sensors --help` needs is imported here.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofusion.cli import Parser, UsageError
from cofusion.errors import UserError

if TYPE_CHECKING:
    from cofusion.scenes import Scene
    from cofusion.sensors import Estimate

_HALF_MAXIMUM = 2.3548  # sigmas


def run(verb: str, args: list[str]) -> None:
    """Run the verb.

    Args:
        verb: `sensors`.
        args: The arguments after it.

    Raises:
        UsageError: The arguments cannot be understood.
        UserError: Files that cannot be read, or a pair that tells nothing.
    """
    given = _parser(verb).parse_args(args)
    given.call(given)


def _parser(verb: str) -> ArgumentParser:
    parser = Parser(f"cofusion {verb}", description="Sensors: what a pair tells about its own.")
    verbs = parser.add_subparsers(required=True, metavar="{estimate}")
    estimate = verbs.add_parser(
        "estimate",
        help="spectral response and PSF, from the pair alone",
        description="Estimate the spectral response of the multispectral sensor and the PSF of the "
        "hyperspectral one, with its shift, from an LRHSI and an HRMSI of the same place. Each image is "
        "divided by its largest value; what the two scalings differ by is the gain.",
        epilog="example: cofusion sensors estimate --lr-hsi a.tif --hr-msi b.tif -o sensors.json",
    )
    for image, name in (("lr-hsi", "LRHSI"), ("hr-msi", "HRMSI")):
        estimate.add_argument(f"--{image}", type=Path, required=True, metavar="FILE", help=f"the {name}")
        estimate.add_argument(
            f"--{image}-key", metavar="KEY", help="its variable in a MATLAB, HDF5 or NetCDF file"
        )
    estimate.add_argument(
        "--scale",
        type=int,
        metavar="N",
        help="ratio of the pixel sizes; needed where the HRMSI has rest pixels at the right or the bottom",
    )
    estimate.add_argument(
        "--psf",
        choices=("auto", "taps", "gaussian"),
        default="auto",
        help="free taps, the Gaussian that fits best, or auto: taps unless pixels are too few (auto)",
    )
    estimate.add_argument("--output", "-o", type=Path, metavar="FILE", help="the sensors, a .json file")
    estimate.add_argument("--figure", type=Path, metavar="FILE", help="a picture of them, a .png file")
    estimate.set_defaults(call=_estimate)
    return parser


def _estimate(given: Namespace) -> None:
    from cofusion.scenes import read_file
    from cofusion.sensors import estimate_sensors
    from cofusion.sensors.estimate import find_scale

    for name, suffix in (("output", ".json"), ("figure", ".png")):
        path = getattr(given, name)
        if path is not None and path.suffix.lower() != suffix:
            raise UsageError(f"--{name} is a {suffix} file, not {path}")
    hsi, msi = (
        read_file(path, key)
        for path, key in ((given.lr_hsi, given.lr_hsi_key), (given.hr_msi, given.hr_msi_key))
    )
    if len(hsi.cube) < len(msi.cube):
        raise UserError(
            f"the LRHSI {given.lr_hsi} has {len(hsi.cube)} bands, the HRMSI {given.hr_msi} "
            f"{len(msi.cube)}; are the two swapped?"
        )
    if find_scale(hsi.cube, msi.cube, given.scale) == 1 and given.output is not None:
        raise UserError(
            f"both images have {hsi.cube.shape[1]} x {hsi.cube.shape[2]} pixels: they tell a response, but "
            f"no sensor that decimates, which --output would write; leave --output out and use --figure"
        )
    names = None if msi.wavelengths is None else [f"{nm:g} nm" for nm in msi.wavelengths.tolist()]
    estimate = estimate_sensors(
        hsi.cube,
        msi.cube,
        given.scale,
        psf=given.psf,
        lr_nodata=hsi.nodata,
        hr_nodata=msi.nodata,
        names=names,
    )
    print("\n".join(_report(estimate, hsi, msi)), flush=True)
    _write(given, estimate, hsi, msi)


def _report(estimate: "Estimate", hsi: "Scene", msi: "Scene") -> list[str]:
    head = ("band", "centre" if hsi.wavelengths is not None else "centre band", "gain", "offset")
    rows: list[tuple[str, ...]] = [(*head, "residual", "of contrast")]
    places = range(1, len(hsi.cube) + 1) if hsi.wavelengths is None else hsi.wavelengths.tolist()
    for i, name in enumerate(estimate.response.names):
        weights = estimate.response.weights[i].tolist()
        centre = sum(weight * place for weight, place in zip(weights, places, strict=True))
        unit = "" if hsi.wavelengths is None else " nm"
        gain, offset = float(estimate.gain[i]), float(estimate.offset[i])
        left = (100 * float(part[i]) for part in (estimate.residual, estimate.unexplained))
        parts = (f"{part:.3g} %" for part in left)
        rows.append((name, f"{centre:.1f}{unit}", f"{gain:.4g}", f"{offset:+.4f}", *parts))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    sizes = ("{1} x {2}, {0} bands".format(*scene.cube.shape) for scene in (hsi, msi))
    return [
        "LRHSI {}; HRMSI {}; scale {}".format(*sizes, estimate.scale),
        f"{estimate.pixels} of {estimate.whole.numel()} LRHSI pixels used: inside, with data, not saturated",
        *table,
        *_report_psf(estimate),
        *(f"note: {doubt}" for doubt in estimate.doubts()),
    ]


def _report_psf(estimate: "Estimate") -> list[str]:
    gaussian = estimate.gaussian
    widths = ", ".join(
        f"sigma {sigma:.2f} (FWHM {_HALF_MAXIMUM * sigma:.2f}) {axis}"
        for sigma, axis in zip(gaussian.sigma, ("down", "right"), strict=True)
    )
    shift = f"{gaussian.shift[0]:+.2f} down, {gaussian.shift[1]:+.2f} right"
    if estimate.scale == 1:
        return [
            "same pixel size, no PSF of decimation; an LRHSI pixel is the HRMSI around another place:",
            f"blur: {widths} pixels; shift: {shift} pixels",
        ]
    return [
        f"PSF: {widths} HRMSI pixels",
        f"shift from the block's centre: {shift} HRMSI pixels (phase {estimate.phase[0]:.2f}, "
        f"{estimate.phase[1]:.2f})",
    ]


def _write(given: Namespace, estimate: "Estimate", hsi: "Scene", msi: "Scene") -> None:
    if given.output is not None:
        from cofusion.sensors.files import write_sensors

        write_sensors(given.output, estimate.sensors(), _about(given, estimate, hsi, msi))
        print(f"wrote {given.output}", flush=True)
    if given.figure is not None:
        from cofusion.reports.figures.sensors_figure import sensors_figure
        from cofusion.reports.figures.style import save_figure

        files = dict.fromkeys((given.lr_hsi.name, given.hr_msi.name))
        figure = sensors_figure(
            estimate,
            hsi.cube,
            msi.cube,
            wavelengths=hsi.wavelengths,
            title=f"Sensors estimated from {' and '.join(files)}",
            subtitle=_report_psf(estimate)[-1],
        )
        save_figure(figure, given.figure.expanduser())
        print(f"wrote {given.figure}", flush=True)


def _about(given: Namespace, estimate: "Estimate", hsi: "Scene", msi: "Scene") -> dict[str, Any]:
    return {
        "lr_hsi": {"file": given.lr_hsi.name, "scaling": hsi.scaling},
        "hr_msi": {"file": given.hr_msi.name, "scaling": msi.scaling},
        "wavelengths": None if hsi.wavelengths is None else hsi.wavelengths.tolist(),
        "gain": estimate.gain.tolist(),
        "offset": estimate.offset.tolist(),
        "residual": estimate.residual.tolist(),
        "unexplained": estimate.unexplained.tolist(),
        "sigma": estimate.gaussian.sigma,
        "shift": estimate.gaussian.shift,
        "pixels": estimate.pixels,
    }
