import warnings

import numpy as np
import pytest
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import DummyExperiment, Logger
from matplotlib.figure import Figure
from PIL import Image

from cofusion.training.callbacks import FigureWriter


class Recorder:
    """Keeps what it is sent instead of a server."""

    name = version = None

    def __init__(self, error=None):
        Logger.__init__(self)
        self.error, self.sent = error, []

    def send(self, *arguments, **options):
        if self.error:
            raise self.error
        self.sent.append((*arguments, options))

    def log_hyperparams(self, params): ...

    def log_metrics(self, metrics, step=None): ...

    def finalize(self, status): ...

    def save(self): ...


class Wandb(Recorder, WandbLogger):
    experiment = property(lambda self: DummyExperiment())
    save_dir = "."
    log_image = log_table = Recorder.send


class Board(Recorder, TensorBoardLogger):
    save_dir = root_dir = log_dir = "."

    @property
    def experiment(self):
        self.add_figure = self.send
        return self

    def log_graph(self, model): ...


def pictures(folder):
    return sorted(path.name for path in (folder / "figures").glob("*"))


def test_test_draws_every_scene(tmp_path, make_trainer, module, data):
    make_trainer(FigureWriter()).test(module, data, verbose=False)
    assert pictures(tmp_path) == ["test_beads.png", "test_toys_2.png"]
    with Image.open(tmp_path / "figures" / "test_beads.png") as image:
        assert image.size[0] > 1600 and np.asarray(image.convert("L")).std() > 20


def test_validation_draws_every_nth_epoch(tmp_path, make_trainer, module, data):
    make_trainer(FigureWriter(every_n_epochs=2, max_scenes=1), max_epochs=5).fit(module, data)
    assert pictures(tmp_path) == ["validation_beads_epoch_0002.png", "validation_beads_epoch_0004.png"]


def test_sanity_check_is_not_drawn(make_trainer, module, data):
    logger = Wandb()
    writer = FigureWriter(every_n_epochs=1, max_scenes=1)
    make_trainer(writer, logger=logger, max_epochs=1, num_sanity_val_steps=1).fit(module, data)
    ((key, _, options),) = logger.sent
    assert key == "figures/validation/beads"
    assert options == {"step": 2, "caption": ["beads, epoch 1"]}


def test_zero_draws_nothing_while_training(tmp_path, make_trainer, module, data):
    make_trainer(FigureWriter(every_n_epochs=0), max_epochs=1).fit(module, data)
    assert pictures(tmp_path) == []


def test_validation_by_itself_always_draws(tmp_path, make_trainer, module, data):
    make_trainer(FigureWriter(every_n_epochs=0)).validate(module, data, verbose=False)
    assert pictures(tmp_path) == ["validation_beads.png", "validation_toys_2.png"]


def test_limit_holds_for_each_test(tmp_path, make_trainer, module, make_data):
    trainer = make_trainer(FigureWriter(max_scenes=1))
    trainer.test(module, make_data(names=("a", "b")), verbose=False)
    trainer.test(module, make_data(names=("c", "d")), verbose=False)
    assert pictures(tmp_path) == ["test_a.png", "test_c.png"]


def test_figures_and_the_table_reach_wandb(tmp_path, make_trainer, module, data):
    logger = Wandb()
    make_trainer(FigureWriter(), logger=logger).test(module, data, verbose=False)
    (first, second, table) = logger.sent
    assert first[:2] == ("figures/test/beads", [str(tmp_path / "figures" / "test_beads.png")])
    assert second[:2] == ("figures/test/toys 2", [str(tmp_path / "figures" / "test_toys_2.png")])
    assert table[0] == "test/metrics"
    assert table[1]["columns"] == ["method", "scene", "psnr", "sam"]
    expected = module.test_results["bicubic"]["beads"]
    assert ["bicubic", "beads", expected["psnr"], expected["sam"]] in table[1]["data"]
    assert [row[0] for row in table[1]["data"]] == ["Net", "Net", "bicubic", "bicubic"]


def test_figures_reach_tensorboard(make_trainer, module, data):
    logger = Board()
    make_trainer(FigureWriter(max_scenes=1), logger=logger).test(module, data, verbose=False)
    ((key, figure, options),) = logger.sent
    assert key == "figures/test/beads" and isinstance(figure, Figure) and options == {"global_step": 0}


@pytest.mark.parametrize("kind", [Wandb, Board])
def test_failing_logger_is_reported_once_and_the_test_goes_on(tmp_path, make_trainer, module, data, kind):
    logger = kind(ConnectionError("the server went away"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_trainer(FigureWriter(), logger=logger).test(module, data, verbose=False)
    assert len([warning for warning in caught if "the server went away" in str(warning.message)]) == 1
    assert pictures(tmp_path) == ["test_beads.png", "test_toys_2.png"]
    assert module.test_results["fused"].keys() == {"beads", "toys 2"}


def test_module_without_images_is_left_alone(tmp_path, make_trainer, data):
    class Silent(LightningModule):
        def test_step(self, batch, batch_idx):
            return None

    make_trainer(FigureWriter()).test(Silent(), data, verbose=False)
    assert pictures(tmp_path) == []
