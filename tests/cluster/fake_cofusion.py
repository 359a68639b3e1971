"""Stands in for the interpreter of a trial: behaves as a `cofusion fit` would, without training.

What it does is the trial's value `mode`: `good`, `bad` (fails), `flaky` (fails the first time), `slow` (an
epoch every tenth of a second, 100 of them; stops when asked), `stubborn` (does not stop), `second` (10 only),
`untested` (trains, does not test) and `requeued` (ends as one that SLURM will start again). A run that is
started again goes on with its next epoch. With `-m cofusion sweep` it is the real command, with this file as
the trials' interpreter.
`--pause` is the time before its results.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

REAL = f"import sys; sys.executable = {str(Path(__file__).resolve())!r}; from cofusion.cli import main; "


def main() -> None:
    if "sweep" in sys.argv:
        os.execv(sys.executable, [sys.executable, "-c", REAL + "sys.exit(main(sys.argv[1:]))", *sys.argv[3:]])
    options = dict(word[2:].partition("=")[::2] for word in sys.argv if word.startswith("--"))
    assert options["ckpt_path"] == "last"
    run, mode = Path(options["run_dir"]), options.get("mode", "good")
    with (run / "starts").open("a") as file:
        file.write(f"{os.getpid()} {os.environ.get('WANDB_RUN_GROUP')} {options['name']}\n")
    epochs = {"slow": 100, "stubborn": 100, "second": 10}.get(mode, 2)
    (run / "config.yaml").write_text(json.dumps({"trainer": {"max_epochs": epochs}, "test_after_fit": True}))
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode == "bad" or (mode == "flaky" and len((run / "starts").read_text().splitlines()) == 1):
        sys.exit("cofusion: error: no such scene")
    if mode == "requeued":
        sys.exit(os.EX_TEMPFAIL)
    train(run, epochs, 0.1 if epochs > 2 else 0.0)
    time.sleep(float(options.get("pause", 0)))
    seed = float(options.get("seed_everything", 0))
    scores = {} if mode == "untested" else {"a": {"psnr": 30.0 + seed}}
    record = {
        "scenes": scores,
        "mean": scores.get("a", {}),
        "epochs_done": epochs,
        "epochs_planned": epochs,
        "parameters": 1_500_000,
        "baselines": {"bicubic": {"mean": {"psnr": 25.0}}},
        "protocol": {"dataset": "fake", "scale": 4},
    }
    (run / "results.json").write_text(json.dumps(record))


def train(run: Path, epochs: int, seconds: float) -> None:
    log = run / "metrics.csv"
    if not log.exists():
        log.write_text("epoch,train/loss,val/psnr\n")
    done = len(log.read_text().splitlines()) - 1
    for epoch in range(done, epochs):
        time.sleep(seconds)
        with log.open("a") as file:
            file.write(f"{epoch},0.1,{20 + epoch / 10}\n")


if __name__ == "__main__":
    main()
