"""Prediction of one scan from Python: :func:`joint_seg_cls.predict`."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib
from nibabel.spatialimages import SpatialImage

from joint_seg_cls.batch import Views
from joint_seg_cls.errors import ScanError
from joint_seg_cls.inference import CaseFindings, Limits, PredictionOptions
from joint_seg_cls.runs.model import load_model
from joint_seg_cls.runs.scans import scan_of_files
from joint_seg_cls.scan import MaskGeometry
from joint_seg_cls.training import PRETRAINED

#: A NIfTI file, or an image of nibabel.
Image = str | Path | SpatialImage


def predict(
    image: Image | Sequence[Image],
    checkpoint: str | Path | Sequence[str | Path] = PRETRAINED,
    *,
    brain_mask: Image | None = None,
    views: Views | None = None,
    device: str = "auto",
    mask_geometry: MaskGeometry = "header",
    trust: Sequence[str] = (),
    trust_grade: bool = False,
    explain: bool = False,
    least_probability: float | None = None,
) -> CaseFindings:
    """Segment the lesions of one scan, and classify its disease where the network does, as ``jsc predict``.

    The scan is preprocessed as the training scans of the network were; results are in its own grid::

        import joint_seg_cls
        findings = joint_seg_cls.predict("flair.nii.gz")
        findings.show()

    ``findings.maps`` has the arrays (``lesions``, ``lesion_probability``, ``disagreement``, ``location_map``,
    ``disease_probability``), ``findings.lesion_table`` a pandas table of the lesions, ``findings.record`` the content
    of the JSON record with its ``warnings``; ``findings.save(folder)`` writes the files of ``jsc predict``. Each call
    loads the network; for many scans use the command.

    Args:
        image: a NIfTI file or an image of nibabel; for a network of several modalities a list of these, in its order.
        checkpoint: ``pretrained``, the weights that are installed with the program; a checkpoint, a run folder or a
            folder of folds; or a list of these, whose outputs are averaged.
        brain_mask: by default the brain is extracted as for the training scans.
        views: ``one``, or ``flips`` to average the scan and its mirror image; None as the checkpoint records.
        device: ``auto``, ``cpu`` or a GPU such as ``cuda:0``.
        mask_geometry: geometry of the brain mask: that of its own ``header``, or of the ``scan``.
        trust: further packages whose classes a checkpoint may use.
        trust_grade: grade the segmentation by lesions put into the scan (``findings.record["trust"]``).
        explain: audit the explanation of the diagnosis (``findings.record["explanation"]``).
        least_probability: of a diagnosis; below it ``findings.record["diagnosis"]`` is "indeterminate"; None: 0.6.

    Raises:
        InputError: the scan or the checkpoint cannot be used; the message has what was expected, what was found and the
            remedy.
    """
    checkpoints = [checkpoint] if isinstance(checkpoint, str | Path) else checkpoint
    options = PredictionOptions(
        trust_grade, explain, Limits() if least_probability is None else Limits(least_probability)
    )
    model = load_model(
        checkpoints, device=device, trust=trust, views=views, mask_geometry=mask_geometry, options=options
    )
    images = list(image) if isinstance(image, list | tuple) else [image]
    with tempfile.TemporaryDirectory() as folder:
        scan = scan_of_files([_file(each, Path(folder), f"image-{n}") for n, each in enumerate(images, 1)],
                             model.recipe.modalities)  # fmt: skip
        if brain_mask is not None:
            scan = replace(scan, brain_mask=_file(brain_mask, Path(folder), "brain-mask"))
        return model.predict(scan)


def _file(image: object, folder: Path, name: str) -> Path:
    """Return the file of an image; one in memory is written to ``folder``.

    Raises:
        ScanError: it is neither a path nor an image of nibabel.
    """
    if isinstance(image, str | Path):
        return Path(image).expanduser()
    if not isinstance(image, SpatialImage):
        raise ScanError(
            name,
            expected="a path or an image of nibabel",
            found=type(image).__name__,
            remedy="give an array with its affine, as nibabel.Nifti1Image(array, affine)",
        )
    file = folder / f"{name}.nii"
    nib.save(image if isinstance(image, nib.Nifti1Image) else nib.Nifti1Image.from_image(image), file)
    return file
