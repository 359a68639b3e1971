"""Sensors in a JSON file: they come back equal, and damage is told in one line."""

import json

import pytest
import torch

from cofusion.errors import UserError
from cofusion.sensors import Noise, Sensors, SpectralResponse
from cofusion.sensors.files import read_sensors, write_sensors

RESPONSE = SpectralResponse(
    torch.tensor([[0.25, 0.75, 0.0], [0.0, 1 / 3, 2 / 3]]).double(), ("blue", "rot"), "x"
)


@pytest.mark.parametrize("preset", ["paper", "wald", "3dt", "hysure"])
def test_sensors_read_back_equal(tmp_path, preset):
    written = Sensors.preset(preset, 4, RESPONSE, noise_seed=3)
    write_sensors(tmp_path / "new" / "sensors.json", written, {"note": "für Menschen"})
    read = read_sensors(tmp_path / "new" / "sensors.json")
    assert read.identity() == written.identity()
    assert torch.equal(read.psf, written.psf) and torch.equal(read.response.weights, RESPONSE.weights)
    assert (read.response.names, read.response.source) == (("blue", "rot"), "x")
    assert read.noise == written.noise
    scene = torch.rand(3, 32, 32)
    for one, other in zip(read.degrade(scene), written.degrade(scene), strict=True):
        assert torch.equal(one, other)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "sensors.json"
    write_sensors(path, Sensors.preset("paper", 2, RESPONSE))
    before = path.read_bytes()
    with pytest.raises(ValueError):
        write_sensors(path, Sensors.preset("paper", 2, RESPONSE), {"gain": float("nan")})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["sensors.json"]


def edited(**changes):
    def change(content):
        content.update(changes)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (edited(format="other"), "format is 'other'"),
        (edited(scale=2.5), "scale must be an integer"),
        (edited(phase=9.0), "phase 9.0 does not fit"),
        (edited(phase=None), "damaged"),
        (edited(border="mirror"), "unknown border 'mirror'"),
        (edited(psf=[[1.0, 2.0]]), "sum to 3"),
        (edited(psf=[[0.5, 0.5]]), "must be square"),
        (edited(psf=[[1.0], [2.0, 3.0]]), "damaged"),
        (edited(psf="wide"), "damaged"),
        (edited(response=[]), "damaged"),
        (lambda content: content.pop("border"), "'border' is missing"),
        (lambda content: content["response"].update(weights=[[2.0, -1.0, 0.0]] * 2), "must not be negative"),
        (lambda content: content["response"].update(names=["one"]), "do not fit 1 names"),
        (lambda content: content["noise"].update(seed=-1), "noise_seed"),
    ],
)
def test_files_that_make_no_sensors(tmp_path, change, said):
    path = tmp_path / "sensors.json"
    write_sensors(path, Sensors.preset("paper", 2, RESPONSE))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=said) as error:
        read_sensors(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"{", b"\xff\xfe\x00", b"[" * 100000])
def test_damaged_files(tmp_path, text):
    path = tmp_path / "sensors.json"
    path.write_bytes(text)
    with pytest.raises(UserError, match="damaged or no file of sensors"):
        read_sensors(path)


def test_every_cut_of_a_file_is_noticed(tmp_path):
    path = tmp_path / "sensors.json"
    write_sensors(path, Sensors.preset("paper", 2, RESPONSE))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_sensors(path)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_sensors(tmp_path / "none.json")


def test_noise_that_is_given_reads_back(tmp_path):
    sensors = Sensors.preset("wald", 2, RESPONSE, hsi_snr=30.5, msi_snr=40.0, noise_seed=7)
    write_sensors(tmp_path / "s.json", sensors)
    assert read_sensors(tmp_path / "s.json").noise == Noise(30.5, 40.0, 7)
