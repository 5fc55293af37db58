"""What holds for every test: one thread, no display, no tracking service, no way out to the network."""

import os
import socket
from collections.abc import Iterator

# Before torch, numpy and matplotlib are imported: they read these once. Two workers share two cores (`make test`), and
# with one thread sums come out in the same order everywhere. Programs that a test starts inherit them.
os.environ |= {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "WANDB_MODE": "disabled",
    "COLUMNS": "120",
}
for name in ("HYDRA_FULL_ERROR", "FORCE_COLOR"):
    os.environ.pop(name, None)

import pytest  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Refuse connections that leave this machine: a test that needs one would pass here and fail elsewhere."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0]) if isinstance(address, tuple) else str(address)
            if not (host.startswith("127.") or host in ("localhost", "::1")):
                pytest.fail(f"a test tried to reach {host}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield


@pytest.fixture
def jsc(capfd: pytest.CaptureFixture[str]):
    """Return a function that runs a command in this process and gives (exit code, standard output, standard error)."""
    from joint_seg_cls.commands.main import main

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            main(list(words))
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run
