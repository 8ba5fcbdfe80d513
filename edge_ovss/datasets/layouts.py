"""Where data sets store their images and labels (docs/evaluation.md, "Layouts")."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from edge_ovss.errors import UsageError


@dataclass(frozen=True)
class Place:
    """A pair of folders below the root; a sample's name is its path without the ending.

    Attributes:
        pictures: Folder of images.
        labels: Folder of label maps.
        picture_ending: Ending of an image's file name; "" for any image suffix.
        label_ending: Ending of a label map's file name.
        names: A text file with one name per line; None takes every label map in the folder.
        shared: Whether the folder of images also holds images of other sets.
        more_label_endings: Other possible endings of a label map's file name.
        picture_inside: Name of the folder that every image is in, at the end of its path, and
            that is no part of the sample's name; "" for none.
        label_inside: The same for label maps.
        videos: A text file with one folder of samples per line; None takes all.
    """

    pictures: str
    labels: str
    picture_ending: str = ""
    label_ending: str = ".png"
    names: str | None = None
    shared: bool = False
    more_label_endings: tuple[str, ...] = ()
    picture_inside: str = ""
    label_inside: str = ""
    videos: str | None = None

    @property
    def label_endings(self) -> tuple[str, ...]:
        """All possible endings of a label map's file name, the usual one first."""
        return (self.label_ending, *self.more_label_endings)


@dataclass(frozen=True)
class Layout:
    """One data set in one convention.

    Attributes:
        name: Value of --layout.
        places: Possible locations, the usual one first.
        vocabulary: Built-in vocabulary whose outputs are its categories; None: see `Dataset`.
        pictures: Published numbers of images; () for any.
        ignore: Numbers in the files that mean "not labeled".
        bits: Bits of a label, 8 or 16.
        zero: "category": 0 is the first category; "ignore": 0 is not labeled and categories
            begin at 1; "background": categories begin at 1 and 0 is the last category.
        fold_from: Predictions from this output on count as the last category (PAS-20b).
        about: One line on where the label files come from.
        fps: Frames per second, where the images are videos; None where each stands for itself.
    """

    name: str
    places: tuple[Place, ...]
    vocabulary: str | None
    pictures: tuple[int, ...] = ()
    ignore: tuple[int, ...] = (255,)
    bits: int = 8
    zero: str = "category"
    fold_from: int | None = None
    about: str = ""
    fps: float | None = None


_ADE = "ADEChallengeData2016"
_FULL = "ADE20K_2021_17_01"
_VOC10, _VOC12 = "VOCdevkit/VOC2010", "VOCdevkit/VOC2012"
_VOC_NAMES = f"{_VOC12}/ImageSets/Segmentation/val.txt"
_D2 = "annotations_detectron2"
_CONTEXT = (5104, 5105)
# Which of the two occurs depends on the program that wrote the files.
_UNKNOWN_459 = (459, 65535)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "ade150",
            (Place(f"{_ADE}/images/validation", f"{_ADE}/{_D2}/validation"),),
            "ade150",
            (2000,),
            about="detectron2 style: annotations_detectron2 holds 'annotations' minus 1, 0 -> 255",
        ),
        Layout(
            "ade150-mmseg",
            (
                Place(f"{_ADE}/images/validation", f"{_ADE}/annotations/validation"),
                Place(f"ade/{_ADE}/images/validation", f"ade/{_ADE}/annotations/validation"),
            ),
            "ade150",
            (2000,),
            zero="ignore",
            about="mmsegmentation style: the files as published, 0 is not labeled",
        ),
        Layout(
            "ade847",
            (
                Place(
                    f"{_FULL}/images_detectron2/validation",
                    f"{_FULL}/{_D2}/validation",
                    label_ending=".tif",
                ),
            ),
            "ade847",
            (2000,),
            ignore=(65535,),
            bits=16,
            about="made from the full ADE20K (registration needed) by prepare_ade20k_full.py; "
            "images are the copies with a short side of at most 512",
        ),
        Layout(
            "pc59",
            (
                Place(f"{_VOC10}/JPEGImages", f"{_VOC10}/{_D2}/pc59_val", shared=True),
                Place("pcontext/val/image", "pcontext/val/label"),
            ),
            "pc59",
            _CONTEXT,
            about="Pascal Context, 59 categories, detectron2 style",
        ),
        Layout(
            "pc59-mmseg",
            (
                Place(
                    f"{_VOC10}/JPEGImages",
                    f"{_VOC10}/SegmentationClassContext",
                    names=f"{_VOC10}/ImageSets/SegmentationContext/val.txt",
                ),
            ),
            "pc59",
            _CONTEXT,
            zero="ignore",
            about="mmsegmentation style: 0 is background and not labeled",
        ),
        Layout(
            "pc459",
            (
                Place(
                    f"{_VOC10}/JPEGImages",
                    f"{_VOC10}/{_D2}/pc459_val",
                    label_ending=".tif",
                    shared=True,
                ),
                Place("pcontext_full/val/image", "pcontext_full/val/label", label_ending=".tif"),
            ),
            "pc459",
            _CONTEXT,
            ignore=_UNKNOWN_459,
            bits=16,
            about="Pascal Context, 459 categories; not labeled is 459 or 65535",
        ),
        Layout(
            "pas20",
            (
                Place(f"{_VOC12}/JPEGImages", f"{_VOC12}/{_D2}/val", shared=True),
                Place("VOC2012/images_detectron2/val", f"VOC2012/{_D2}/val"),
            ),
            "voc20",
            (1449,),
            about="Pascal VOC 2012 without background, detectron2 style: 1..20 -> 0..19",
        ),
        Layout(
            "pas20-mmseg",
            (Place(f"{_VOC12}/JPEGImages", f"{_VOC12}/SegmentationClass", names=_VOC_NAMES),),
            "voc20",
            (1449,),
            zero="ignore",
            about="the files as published; 0 (background) is not labeled",
        ),
        Layout(
            "pas20b",
            (Place(f"{_VOC12}/JPEGImages", f"{_VOC12}/{_D2}_bg/val", shared=True),),
            "voc20b",
            (1449,),
            fold_from=20,
            about="Pascal VOC 2012 with background as category 20; 59 prompts -> 21 outputs",
        ),
        Layout(
            "pas20b-mmseg",
            (Place(f"{_VOC12}/JPEGImages", f"{_VOC12}/SegmentationClass", names=_VOC_NAMES),),
            "voc20b",
            (1449,),
            zero="background",
            fold_from=20,
            about="the files as published; 0 (background) is the last category",
        ),
        Layout(
            "cityscapes",
            (
                Place(
                    "leftImg8bit/val",
                    "gtFine/val",
                    picture_ending="_leftImg8bit.png",
                    label_ending="_gtFine_labelTrainIds.png",
                ),
                Place(
                    "cityscapes/leftImg8bit/val",
                    "cityscapes/gtFine/val",
                    picture_ending="_leftImg8bit.png",
                    label_ending="_gtFine_labelTrainIds.png",
                ),
            ),
            "cityscapes19",
            (500,),
            about="labelTrainIds files, made by cityscapesscripts",
        ),
        Layout(
            "coco171",
            (
                Place("coco-stuff/images/val2017", f"coco-stuff/{_D2}/val2017"),
                Place("coco/val2017", "coco/stuffthingmaps_detectron2/val2017"),
            ),
            "coco171",
            (5000,),
            about="COCO-Stuff; training domain of the published models, fit for calibration",
        ),
        Layout(
            "camvid",
            (Place("images/val", "labels/val"),),
            "camvid",
            (101,),
            about="CamVid's 11 classes, images/val and labels/val",
        ),
        Layout(
            "camvid-video",
            (Place("images/val", "labels/val"),),
            "camvid",
            (101,),
            about="CamVid's val as the video that it is: sequence 0016E5 at 15 Hz",
            fps=15.0,
        ),
        Layout(
            "vspw",
            (
                Place(
                    "data",
                    "data",
                    picture_inside="origin",
                    label_inside="mask",
                    videos="val.txt",
                ),
            ),
            None,
            zero="ignore",
            about="VSPW as published: 0 and 255 are not labeled, 124 categories from 1",
            fps=15.0,
        ),
        Layout(
            "folder",
            (Place("images", "labels", more_label_endings=(".tif", ".tiff")),),
            None,
            about="images/ and labels/ with equal names; classes.txt names the categories",
        ),
    )
}


def find_layout(name: str) -> Layout:
    """Return a layout by name.

    Raises:
        UsageError: There is none; the hint names close ones.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    close = difflib.get_close_matches(name, LAYOUTS, n=3, cutoff=0.4)
    message = f"Layout '{name}' is unknown; expected one of: {', '.join(LAYOUTS)}."
    raise UsageError(message, hint=f"Did you mean {' or '.join(close)}?" if close else None)
