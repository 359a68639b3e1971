"""Fusing files: the product is written as it is fused, and an interrupted fusion goes on where it stopped."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from cofusion.errors import UserError
from cofusion.files import whole_file
from cofusion.inference import product, store
from cofusion.inference.engine import Clock, fuse_strips, pass_on
from cofusion.inference.identity import identity, tags
from cofusion.inference.images import Array, Image
from cofusion.inference.journal import Journal, alone, open_journal
from cofusion.inference.layout import Compression, Dtype, Layout
from cofusion.inference.setup import Options, Setup, set_up
from cofusion.inference.tiles import Span
from cofusion.memory import peak
from cofusion.scenes.space import check_space

if TYPE_CHECKING:
    from cofusion.inference.devices import Team


@dataclass(frozen=True, eq=False)
class Result:
    """What was fused, and at what cost.

    Attributes:
        path: The product.
        setup: The two images and the method.
        layout: How the product is stored.
        command: What made it, for people; may be empty.
        seconds: Time from the first strip to the finished file; of this run alone where an interrupted one
            was gone on with.
        network_seconds: Time in the network.
        tiles: Tiles that went through the network.
        strips: Strips of this run, and of the whole product.
        peak_memory: Largest resident set of the process, in bytes.
    """

    path: Path
    setup: Setup
    layout: Layout
    command: str
    seconds: float
    network_seconds: float
    tiles: int
    strips: tuple[int, int]
    peak_memory: int


def fuse_files(
    lr_hsi: Image,
    hr_msi: Image,
    method: nn.Module | str,
    output: str | Path,
    *,
    options: Options | None = None,
    dtype: Dtype = "float32",
    compress: Compression = "deflate",
    overviews: bool = False,
    cog: bool = False,
    overwrite: bool = False,
    sha256: str | None = None,
    command: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
    team: "Team | None" = None,
) -> Result:
    """Fuse two files into a georeferenced product; memory does not grow with the number of rows.

    The product is written as `NAME.part.tif` beside its place, with a record `NAME.part.json`, and moved
    when it is whole. Where both are there from a fusion of the same files with the same method and options,
    it goes on from there, and the product is the same as that of a fusion that was not interrupted.

    Args:
        lr_hsi: LRHSI, as `cofusion.inference.images.open_image` opens it.
        hr_msi: HRMSI, the same.
        method: A network, or the name of a method that needs no weights: `bicubic`.
        output: The product: a GeoTIFF (`.tif`), an ENVI file (`.img`) or a Zarr store (`.zarr`).
        options: How to fuse.
        dtype: `float32`, in the LRHSI's units; or `uint16`, with a scale and an offset that give the same.
        compress: How blocks are packed: `deflate`, `zstd` or `none`, those of a GeoTIFF also by `lzw`.
        overviews: Add coarser images for viewers.
        cog: Write a cloud-optimised GeoTIFF; it has overviews.
        overwrite: Replace a product that exists, and begin anew where a part of another one is there.
        sha256: Of the file with the network's weights, for the product's tags.
        command: What is run, for the product's tags.
        progress: Called with the number of finished tiles and that of all tiles.
        team: Other processes that fuse along; this is the first of them.

    Raises:
        UserError: The images do not belong together or to the method, the product exists or cannot be
            written.
        KeyboardInterrupt: Ctrl-C; the message names the temporary file.
    """
    output, options = Path(output).expanduser(), options or Options()
    product.check_target(output, compress, overviews, cog)
    _check_free(output, overwrite, (lr_hsi, hr_msi))
    setup = set_up(lr_hsi, hr_msi, method, options, sha256)
    layout = Layout(
        shape=(setup.pair.lr_hsi.shape[0], *setup.pair.hr_msi.shape[1:]),
        block=_block(setup.job.tiling.height),
        highest=setup.hsi_range.scaling,
        units=lr_hsi.units,
        dtype=dtype,
        compress=compress,
        georeference=setup.pair.georeference,
        wavelengths=lr_hsi.wavelengths,
        tags=tags(setup, command),
    )
    strips = setup.job.tiling.down()
    begin, clock = time.perf_counter(), Clock()
    with alone(output):
        journal = open_journal(output, identity(lr_hsi, hr_msi, setup, options, layout), strips, overwrite)
        todo = [number for number in range(len(strips)) if number not in journal.done]
        with _saying_what_is_kept(journal, len(strips)):
            _fuse_into(journal, setup, layout, todo, clock, progress, team)
            _finish(journal, layout, strips, overviews, cog)
    return Result(
        path=output,
        setup=setup,
        layout=layout,
        command=command,
        seconds=time.perf_counter() - begin,
        network_seconds=clock.network,
        tiles=clock.tiles,
        strips=(len(todo), len(strips)),
        peak_memory=peak(),
    )


def _fuse_into(
    journal: Journal,
    setup: Setup,
    layout: Layout,
    todo: list[int],
    clock: Clock,
    progress: Callable[[int, int], None],
    team: "Team | None",
) -> None:
    """Fuse the strips that lack; each is written while the next one is fused."""
    strips, across = setup.job.tiling.down(), len(setup.job.tiling.across())
    ticks = (len(strips) - len(todo)) * across
    if not journal.done:
        product.create(journal.part, layout)
        journal.write()

    def tick() -> None:
        nonlocal ticks
        ticks = min(ticks + 1, len(strips) * across)
        progress(ticks, len(strips) * across)

    def write(number: int, values: Array) -> None:
        span = strips[number]
        check_space(journal.part.parent, layout.bytes_of(span.stop - span.start) + 2**20)
        stored = layout.stored(values)
        product.write(journal.part, layout, span.start, stored)
        journal.finished(number, stored)

    clock.tick = tick
    if team is None:
        pass_on(fuse_strips(setup.job, todo, clock), write)
    else:
        team.lead(setup.job, todo, clock, write)


@contextmanager
def _saying_what_is_kept(journal: Journal, strips: int) -> Iterator[None]:
    """Add to whatever ends the work where it can be taken up again."""
    try:
        yield
    except (KeyboardInterrupt, UserError, OSError) as error:
        so_far = f"{len(journal.done)} of {strips} strips are in {journal.part}"
        kept = f"{so_far}; the same command goes on from there"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"interrupted; {kept}") from None
        raise UserError(f"{error}; {kept}") from error


def _finish(journal: Journal, layout: Layout, strips: list[Span], overviews: bool, cog: bool) -> None:
    if cog:
        with whole_file(journal.target) as path:
            product.rewrite_as_cog(journal.part, path, layout)
        product.remove(journal.part)
    else:
        if list(journal.done) != sorted(journal.done) and product.keeps_order(journal.part):
            product.write_in_order(journal.part, layout, strips)
        if overviews:
            product.add_overviews(journal.part, layout.block)
        product.move(journal.part, journal.target)
    journal.close()


def _check_free(output: Path, overwrite: bool, inputs: tuple[Image, Image]) -> None:
    if any(image.path is not None and image.path.resolve() == output.resolve() for image in inputs):
        raise UserError(f"{output} is one of the two images; give another -o")
    if output.exists() and not overwrite:
        raise UserError(f"{output} exists; give another -o, or --overwrite to replace it")
    if output.is_dir() and not store.is_store(output):
        raise UserError(f"{output} is a folder; give the name of a file")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {output.parent}: {error.strerror}; give another -o"
        ) from error


def _block(height: int) -> int:
    """Return the side of GeoTIFF's blocks: a part of the strips' height, of a size that viewers like."""
    parts = (height // n for n in range(1, height // 16 + 1) if height % (16 * n) == 0)
    return next((side for side in parts if side <= 512), 16)
