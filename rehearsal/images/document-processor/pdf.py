"""What is taken out of a PDF here: pieces that Document AI accepts, and the images."""

import io
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.errors import PyPdfError

# Of one call to Document AI that returns no images of the pages, and with room for the encoding in its 40 MB.
MOST_PAGES = 30
MOST_BYTES = 20 * 1024 * 1024
# Smaller ones are lines, bullets and logos.
LEAST_PIXELS = 32
MOST_IMAGES_PER_PAGE = 20


class Unreadable(Exception):
    """A PDF that nobody can read, with the reason in French."""


def open_pdf(file: BinaryIO) -> PdfReader:
    if file.seek(0, io.SEEK_END) == 0:
        raise Unreadable("le fichier est vide")
    file.seek(0)
    try:
        reader = PdfReader(file)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("le PDF est protégé par un mot de passe")
        count = len(reader.pages)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise Unreadable("le PDF est illisible ou endommagé") from error
    if count == 0:
        raise Unreadable("le PDF n'a aucune page")
    return reader


def pieces(reader: PdfReader) -> Iterator[tuple[int, bytes]]:
    """The number of the first page, from 0, and a PDF of the pages that follow."""
    for first in range(0, len(reader.pages), MOST_PAGES):
        yield from split(reader, first, min(first + MOST_PAGES, len(reader.pages)))


def split(reader: PdfReader, first: int, end: int) -> Iterator[tuple[int, bytes]]:
    writer = PdfWriter()
    for number in range(first, end):
        writer.add_page(reader.pages[number])
    written = io.BytesIO()
    writer.write(written)
    if written.tell() <= MOST_BYTES:
        yield first, written.getvalue()
    elif end - first == 1:
        raise Unreadable(f"la page {end} dépasse {MOST_BYTES // 1024 // 1024} Mio")
    else:
        middle = (first + end) // 2
        yield from split(reader, first, middle)
        yield from split(reader, middle, end)


def save_images(page: PageObject, prefix: str, folder: pathlib.Path) -> list[dict]:
    """The images of one page, each as a PNG in `folder`. One that is damaged is left out."""
    saved = []
    for name in list(page.images.keys())[:MOST_IMAGES_PER_PAGE]:
        try:
            picture = page.images[name].image
        except (PyPdfError, ValueError, KeyError, TypeError, NotImplementedError, OSError):
            continue
        if picture is None or min(picture.size) < LEAST_PIXELS:
            continue
        identifier = f"{prefix}-{len(saved) + 1}"
        path = folder / f"{identifier}.png"
        picture.convert("RGB").save(path)
        saved.append({"id": identifier, "path": str(path), "width": picture.width, "height": picture.height})
    return saved
