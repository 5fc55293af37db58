"""Prepared cases as inputs and labels of a network."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
import torch
from monai.transforms import Compose
from monai.utils import convert_to_tensor
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from joint_seg_cls.batch import Batch
from joint_seg_cls.data.draws import random_state
from joint_seg_cls.data.patches import RandPatchd
from joint_seg_cls.errors import StoreError
from joint_seg_cls.scan import PreparedCase


@runtime_checkable
class Augmentation(Protocol):
    """Any MONAI dictionary transform or composition of them.

    Its inputs and outputs are the entries ``image`` (float32) and ``lesion_mask`` (uint8), both (c, x, y, z); all
    output images must have one size. A scan without a reference has no ``lesion_mask``; a simulated case has its labels
    as further entries. ``folder`` is the path of the case's folder. An augmentation may write to the tensors.
    """

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> object:
        """Set the random state of the next draws."""
        ...

    def __call__(self, data: Mapping[Hashable, Any], /) -> Mapping[Hashable, Any]:
        """Return the augmented entries."""
        ...


@final
class CaseDataset(Dataset[Batch]):
    """Prepared cases, each a :class:`Batch` of one.

    Items are indexed by ``(epoch, index)``: the augmentation is a function of (seed, epoch, case).

    Args:
        cases: the cases, all of one store.
        classes: disease names in the order of their codes.
        augmentation: applied to image and mask in every epoch; None for none.
        seed: seed of the training.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        classes: Sequence[str],
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.cases = tuple(cases)
        self.codes = {name: code for code, name in enumerate(classes)}
        self.augmentation = augmentation
        self.seed = seed
        self._in_memory: dict[str, dict[Hashable, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, place: tuple[int, int] | int) -> Batch:
        """Return the case at ``(epoch, index)``; an integer ``index`` means epoch 0."""
        epoch, index = (0, place) if isinstance(place, int) else place
        case = self.cases[index]
        entries: Mapping[Hashable, Any] = self._in_memory.get(case.case) or _entries(case)
        if self.augmentation is not None:
            if self._in_memory and not _starts_with_a_patch(self.augmentation):
                entries = {name: volume.clone() for name, volume in entries.items()}
            labels = {name: torch.from_numpy(array)[None] for name, array in case.labels().items()}
            self.augmentation.set_random_state(state=random_state("augmentation", self.seed, epoch, case.case))
            entries = self.augmentation({**entries, **labels, "folder": str(case.folder)})
        image = _plain(entries["image"])
        mask = _plain(entries["lesion_mask"]).float() if case.has_lesion_mask else torch.zeros_like(image[:1])
        return Batch(
            image=image[None],
            lesion_mask=mask[None],
            disease=torch.tensor([self.codes[case.disease] if case.disease is not None else 0]),
            has_lesion_mask=torch.tensor([case.has_lesion_mask]),
            has_disease=torch.tensor([case.disease is not None]),
            case=[case.case],
        )

    def read_into_memory(self) -> None:
        """Load all cases into memory, which workers forked later share."""
        for case in self.cases:
            self._in_memory[case.case] = {name: volume.clone() for name, volume in _entries(case).items()}


def check_cases(
    cases: Sequence[PreparedCase], classes: Sequence[str], channels: int, size: tuple[int, int, int]
) -> None:
    """Open the arrays of every case without reading them, to detect damaged cases before a run starts.

    Raises:
        StoreError: an array cannot be opened or its shape differs from the store's; a disease is not in ``classes``.
    """
    for case in cases:
        mask = case.lesion_mask()
        found: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
            "image.npy": (case.image().shape, (channels, *size))
        }
        if mask is not None:
            found["lesion_mask.npy"] = mask.shape, size
        for name, (shape, expected) in found.items():
            if shape != expected:
                raise StoreError(
                    case.folder / name,
                    expected=f"the store's shape {expected}",
                    found=str(shape),
                    remedy="run `jsc prepare` again on this store",
                )
        if case.disease is not None and case.disease not in classes:
            raise StoreError(
                case.folder / "case.json",
                expected=f"a disease among {', '.join(classes)}",
                found=case.disease,
                remedy="run `jsc prepare` again with all classes named",
            )


def collate(items: Sequence[Batch]) -> Batch:
    """Join batches of one scan into one batch, in shared memory if in a worker process."""
    image, lesion_mask, disease, has_lesion_mask, has_disease = (
        default_collate([tensor[0] for tensor in tensors])
        for tensors in zip(*(item[:5] for item in items), strict=True)
    )
    return Batch(
        image, lesion_mask, disease, has_lesion_mask, has_disease, [name for item in items for name in item.case]
    )


def _entries(case: PreparedCase) -> dict[Hashable, Tensor]:
    """Open a case's image and, if available, its mask; both (c, x, y, z).

    The tensors are copy-on-write maps of the files: only what is used is read, and what is written stays in memory.
    A file that another process cuts short after it was opened ends this process with SIGBUS.
    """
    mask = case.lesion_mask()
    image: dict[Hashable, Tensor] = {"image": torch.from_numpy(case.image())}
    return image if mask is None else image | {"lesion_mask": torch.from_numpy(mask)[None]}


def _starts_with_a_patch(augmentation: Augmentation) -> bool:
    """Return whether the first step copies a patch, so that no step writes to the case's own tensors."""
    first, *_ = augmentation.transforms if isinstance(augmentation, Compose) and len(augmentation) else [augmentation]
    return isinstance(first, RandPatchd) and first.size is not None


def _plain(value: Tensor) -> Tensor:
    """Remove MONAI's metadata, which slows down later operations."""
    return convert_to_tensor(value, track_meta=False)
