"""A real SLURM on this machine: `munged`, `slurmctld` and one `slurmd` for each node, on loopback.

Everything lies in one folder, which is new each time; ports are free ones; nothing of the system's own SLURM
or munge is read, started or stopped. All processes of a cluster, its jobs' included, carry its configuration
in their environment (`SLURM_CONF`), by which `Cluster.stop` finds what a killed start has left.

By hand: `python tests/slurm/cluster.py` starts one and a shell in it (`sinfo`, `sbatch`); leaving the shell
ends it. Needs the Debian packages slurm-wlm and munge, and root.
"""

import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "setpriv")
# Of a job that will not run again by itself.
ENDED = frozenset(
    {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"}
)

CPUS, GPUS = 64, 16
_PREFIX = "cofusion-slurm-"

_CONFIG = """\
ClusterName=cofusion
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that was queued again has to wait until its old credential is void.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
MailProg=/bin/true
# More processors than the machine has: that several jobs run at a time is what is tested.
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
GresTypes=gpu
ReturnToService=2
JobRequeue=1
KillWait=10
MinJobAge=3600
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool.%n
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL State=UP
"""


def missing() -> list[str]:
    """Return what keeps a cluster from being started here: programs that are not installed, or no root."""
    lacking = [name for name in PROGRAMS if _which(name) is None]
    return lacking if os.geteuid() == 0 else [*lacking, "root"]


class Cluster:
    """A running SLURM.

    Args:
        nodes: How many nodes; all of them are this machine, and each claims to have `CPUS` processors and
            `GPUS` GPUs, so that batch scripts for real clusters can be submitted as they are.

    Raises:
        RuntimeError: It did not start; the message ends with the daemons' own words.
    """

    def __init__(self, nodes: int = 2) -> None:
        _clear_up()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        (self.folder / "owner").write_text(str(os.getpid()))
        self.env = {
            # What a job must not inherit: settings of an outer SLURM or of a launcher.
            **{k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH", "COFUSION"))},
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            # The nodes' names are known to nobody else.
            "MASTER_ADDR": "127.0.0.1",
        }
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._names = [f"node{i}" for i in range(nodes)]
        atexit.register(self.stop)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        ports = _free_ports(1 + len(self._names))
        nodes = "\n".join(
            f"NodeName={name} NodeAddr=127.0.0.1 NodeHostname={socket.gethostname()} Port={port} "
            f"CPUs={CPUS} Gres=gpu:{GPUS}"
            for name, port in zip(self._names, ports[1:], strict=True)
        )
        config = _CONFIG.format(host=socket.gethostname(), port=ports[0], folder=self.folder, nodes=nodes)
        Path(self.env["SLURM_CONF"]).write_text(config)
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n")
        for i in range(GPUS):
            (self.folder / f"gpu{i}").symlink_to("/dev/null")

        self._daemon(
            "munged",
            *("--foreground", "--force", "--num-threads=10", f"--key-file={key}"),
            *(f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munged.pid"),
            *(f"--seed-file={self.folder}/munged.seed", f"--log-file={self.folder}/munged.log"),
        )
        self._until((self.folder / "munge.socket").exists, 20)
        self._daemon("slurmctld", "-D")
        for name in self._names:
            self._daemon("slurmd", "-D", "-N", name)
        self._until(lambda: self.run("sinfo", "-h", "-o", "%T").stdout.split() == ["idle"], 60)

    def _daemon(self, name: str, *args: str) -> None:
        # Ended with this process, however that ends.
        command = ["setpriv", "--pdeathsig", "TERM", _which(name) or name, *args]
        if name != "slurmd":
            # A machine that is busy with the jobs must not keep SLURM from answering.
            command = ["nice", "-n", "-10", *command]
        with (self.folder / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(command, env=self.env, stdout=out, stderr=out, start_new_session=True)
        self._daemons.append(process)

    def _until(self, true: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            dead = [p.args for p in self._daemons if p.poll() is not None]
            if dead or time.monotonic() > deadline:
                raise RuntimeError(f"SLURM did not start (ended: {dead}):\n{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        """Return the last words of every daemon."""
        files = self.folder.glob("*.log")
        return "\n".join(f"--- {f.name}\n{f.read_text(errors='replace')[-1000:]}" for f in sorted(files))

    def run(self, *command: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a command of SLURM's, or any other, against this cluster."""
        return subprocess.run(
            command, cwd=cwd, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )

    def submit(self, *args: str, cwd: Path) -> str:
        """Submit a batch job from a folder and return its number."""
        done = self.run("sbatch", "--parsable", *args, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """Return what SLURM says about a job: `JobState`, `Restarts`, `ExitCode` and others."""
        said = self.run("scontrol", "--oneliner", "show", "job", number).stdout
        return dict(word.split("=", 1) for word in said.split() if "=" in word)

    def wait(self, number: str, true: Callable[[dict[str, str]], bool], seconds: float) -> dict[str, str]:
        """Wait until something holds of a job and return what SLURM says about it then.

        Raises:
            AssertionError: The time is over, or the job ended otherwise.
        """
        deadline = time.monotonic() + seconds
        while True:
            # An overloaded controller may leave a question unanswered.
            job = self.job(number)
            if job and true(job):
                return job
            late, over = time.monotonic() > deadline, job.get("JobState") in ENDED
            assert not late and not over, f"{'too late' if late else 'ended'}: {job}\n{self.logs()}"
            time.sleep(1)

    def finish(self, number: str, seconds: float = 240) -> dict[str, str]:
        """Wait until a job has ended for good and return what SLURM says about it."""
        return self.wait(number, lambda job: job["JobState"] in ENDED, seconds)

    def stop(self) -> None:
        """End all jobs and daemons and remove the folder."""
        atexit.unregister(self.stop)
        for process in reversed(self._daemons):
            process.terminate()
        for process in self._daemons:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        _kill_all_with(self.env["SLURM_CONF"])
        shutil.rmtree(self.folder, ignore_errors=True)


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _clear_up() -> None:
    """Remove the clusters, and their jobs, of processes that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder / "owner"
        if owner.is_file() and not Path("/proc", owner.read_text()).exists():
            _kill_all_with(str(folder / "slurm.conf"))
            shutil.rmtree(folder, ignore_errors=True)


def _kill_all_with(config: str) -> None:
    """Kill every process that has this configuration in its environment."""
    mark = f"SLURM_CONF={config}".encode()
    for _ in range(50):
        pids = [pid for pid in _processes() if mark in _environment(pid) and pid != os.getpid()]
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended meanwhile
        return []


def main() -> int:
    """Start a cluster and a shell in it."""
    if missing():
        print(f"not here: {', '.join(missing())}; apt-get install slurm-wlm munge, as root", file=sys.stderr)
        return 1
    cluster = Cluster()
    try:
        print(cluster.folder)
        return subprocess.run([os.environ.get("SHELL", "sh")], env=cluster.env, check=False).returncode
    finally:
        cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
