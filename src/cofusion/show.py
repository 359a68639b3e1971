"""The verb data show: a picture of what a config makes of a scene."""

from contextlib import ExitStack
from pathlib import Path

from lightning.pytorch.cli import LightningArgumentParser

from cofusion.console import quiet, say
from cofusion.data import FusionDataModule, Pair, Window
from cofusion.errors import UserError
from cofusion.lightning_cli import FusionCLI
from cofusion.reports.figures.data_figure import data_figure
from cofusion.reports.figures.style import save_figure


def run(args: list[str]) -> None:
    """Run the verb.

    Args:
        args: The arguments after `data show`: configs and flags as for `cofusion fit`, and `--scene`,
            `--output`.

    Raises:
        UsageError: The arguments or a config cannot be understood.
        UserError: The scene cannot be read or degraded.
    """
    with quiet(), ExitStack() as stack:
        cli = _ShowCLI("data show", args, stack)
        path = show(cli.datamodule, cli.config.scene, cli.config.output)
        say(f"wrote {path}")


def show(data: FusionDataModule, scene: str | None = None, output: str | None = None) -> Path:
    """Draw a scene of a data module, its split and its simulated pair (see `data_figure`).

    Args:
        data: The data module; `setup` need not have been called.
        scene: Name of the scene; the first test scene that is there when left out.
        output: PNG file to write; `<data set>_<scene>_x<scale>.png` when left out.

    Returns:
        The file.

    Raises:
        UserError: The data set has no such scene or file, or the scene cannot be degraded.
    """
    name = scene or _first_scene(data)
    given = data.scenes.read(name)
    pair = Pair.simulate(given, data.sensors, flips=False)
    protocol = data.protocol
    figure = data_figure(
        given.cube,
        pair.lr_hsi[0],
        pair.hr_msi,
        data.sensors,
        _windows(data, name, *given.cube.shape[-2:]),
        wavelengths=given.wavelengths,
        title=f"{data.scenes.title}: {name}",
        subtitle=f"preset {protocol['preset']}, x{data.scale}, phase {data.phase:g}, border "
        f"{protocol['border']}   ·   split {data.split.name}   ·   values / {given.scaling:g}, "
        f"{given.clipped or 'none'} clipped",
    )
    path = Path(output or f"{data.scenes.stem}_{name}_x{data.scale}.png").expanduser()
    save_figure(figure, path)
    return path


class _ShowCLI(FusionCLI):
    """Parse as the other verbs do, then build the data module alone."""

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what names the scene and the picture."""
        super().add_default_arguments_to_parser(parser)
        parser.add_argument("--scene", type=str | None, help="Scene (default: the first test scene).")
        parser.add_argument("--output", "-o", type=str | None, help="PNG file to write.")

    def before_instantiate_classes(self) -> None:
        """Refuse what cannot be drawn; make no run directory."""
        if self.datamodule_class is not FusionDataModule:
            raise UserError(
                "data show draws what is simulated from a scene, not a real pair; `cofusion fuse` writes a "
                "picture of both its images, `cofusion sensors estimate --figure` one of its sensors"
            )
        output = self.config.output
        if output and Path(output).suffix != ".png":
            raise UserError(f"--output is a .png file, not {output}")

    def instantiate_classes(self) -> None:
        """Build the data module alone."""
        parser = LightningArgumentParser()
        parser.add_class_arguments(FusionDataModule, "data")
        config = parser.get_defaults(skip_validation=True)
        config.data = self.config.data
        self.datamodule = parser.instantiate_classes(config).data


def _first_scene(data: FusionDataModule) -> str:
    names = list(dict.fromkeys(region.scene for region in data.split.test))
    for name in names:
        try:
            data.scenes.require([name])
        except UserError:
            continue
        return name
    data.scenes.require(names)
    return names[0]


def _windows(data: FusionDataModule, scene: str, rows: int, cols: int) -> dict[str, list[Window]]:
    parts = {"train": data.split.train, "validation": data.split.validation, "test": data.split.test}
    return {
        part: [region.within(rows, cols, data.scale) for region in regions if region.scene == scene]
        for part, regions in parts.items()
    }
