"""HTTP interface of the document-processor: a PDF's text by Document AI, and its images."""

import base64
import os
import pathlib
import shutil
import time
import uuid
from typing import BinaryIO

from fastapi import FastAPI, HTTPException, Request, UploadFile
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

import pdf
from google_api import Google, GoogleError

TEMP = pathlib.Path(os.environ.get("TEMP_DIR", "/tmp/technicia"))
TEMP.mkdir(parents=True, exist_ok=True)
PROJECT, LOCATION, PROCESSOR = (
    os.environ.get(name, "") for name in ["DOCUMENT_AI_PROJECT", "DOCUMENT_AI_LOCATION", "DOCUMENT_AI_PROCESSOR_ID"]
)
# The endpoint without a location serves only the processors of `us`.
ENDPOINT = os.environ.get("DOCUMENT_AI_URL", f"https://{LOCATION}-documentai.googleapis.com")
PROCESS = f"{ENDPOINT}/v1/projects/{PROJECT}/locations/{LOCATION}/processors/{PROCESSOR}:process"
# Images that nobody fetched in this time are deleted: the folder is in memory.
KEPT_SECONDS = 3600

app = FastAPI(title="document-processor", version=os.environ["VERSION"])


class Order(BaseModel):
    documentId: str
    filePath: str
    fileName: str | None = None
    mimeType: str = "application/pdf"
    outputPath: str | None = None
    extractImages: bool = True
    extractText: bool = True


@app.get("/health")
def health():
    configured = all([PROJECT, LOCATION, PROCESSOR])
    return {"status": "healthy", "google_cloud_configured": configured, "temp_dir": str(TEMP), "active_tasks": 0}


def require_pdf(name: str | None) -> None:
    if not (name or "").lower().endswith(".pdf"):
        raise HTTPException(400, "Seuls les fichiers PDF sont acceptés")


def google() -> Google:
    """Made with the first document, because the service starts without a key."""
    global _google
    if _google is None:
        _google = Google(os.environ["GOOGLE_APPLICATION_CREDENTIALS"])
    return _google


_google: Google | None = None


def text_blocks(document: dict, first: int) -> list[dict]:
    """The paragraphs of Document AI's answer; `first` is the number of the piece's first page, from 0."""
    text = document.get("text", "")
    blocks = []
    for page in document.get("pages", []):
        for layout in (paragraph["layout"] for paragraph in page.get("paragraphs", [])):
            segments = layout.get("textAnchor", {}).get("textSegments", [])
            words = "".join(text[int(one.get("startIndex", 0)) : int(one["endIndex"])] for one in segments)
            number = first + page["pageNumber"]
            blocks.append({"text": words.strip(), "confidence": layout.get("confidence", 0.0), "page": number})
    return [block for block in blocks if block["text"]]


def recognize(reader: pdf.PdfReader) -> list[dict]:
    blocks = []
    for first, piece in pdf.pieces(reader):
        raw = {"content": base64.b64encode(piece).decode(), "mimeType": "application/pdf"}
        answer = google().post(PROCESS, {"rawDocument": raw, "imagelessMode": True, "skipHumanReview": True})
        blocks += text_blocks(answer["document"], first)
    return blocks


def extract_images(reader: pdf.PdfReader, order: Order, output: pathlib.Path) -> list[dict]:
    folder = output / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return [
        {**image, "page": number}
        for number, page in enumerate(reader.pages, 1)
        for image in pdf.save_images(page, f"img-{order.documentId}-p{number}", folder)
    ]


def forget_old() -> None:
    for folder in TEMP.iterdir():
        if folder.is_dir() and folder.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def process(file: BinaryIO, order: Order) -> dict:
    forget_old()
    output = pathlib.Path(order.outputPath) if order.outputPath else TEMP / str(uuid.uuid4())
    try:
        reader = pdf.open_pdf(file)
        blocks = recognize(reader) if order.extractText else []
        images = extract_images(reader, order, output) if order.extractImages else []
    except pdf.Unreadable as error:
        # The visitor's fault, unlike all other failures here; the contract has no status for it.
        raise HTTPException(422, str(error)) from error
    except GoogleError as error:
        raise HTTPException(500, f"Erreur lors du traitement : {error}") from error
    except (OSError, KeyError, ValueError) as error:
        raise HTTPException(500, f"Erreur lors du traitement : {type(error).__name__} {error}") from error
    return {
        "success": True,
        "documentId": order.documentId,
        "fileName": order.fileName or pathlib.Path(order.filePath).name,
        "pageCount": len(reader.pages),
        "textBlocks": blocks,
        "images": images,
        "processingDetails": {
            "processingTime": time.time(),
            "documentAiModel": "default",
            "mimeType": order.mimeType,
        },
        "metadata": {"originalPath": order.filePath, "outputPath": str(output)},
    }


def process_upload(file: UploadFile) -> dict:
    require_pdf(file.filename)
    name = file.filename or ""
    return process(file.file, Order(documentId=str(uuid.uuid4()), filePath=name, fileName=name))


@app.post("/process")
def process_form(file: UploadFile):
    return process_upload(file)


@app.post("/process-file")
async def process_file(request: Request):
    form = await request.form()
    file = form.get("file")
    if file is None or isinstance(file, str):
        raise HTTPException(400, f"Le champ file est absent ; reçus : {sorted(form)}")
    # In a thread, so that the health check is answered meanwhile.
    return await run_in_threadpool(process_upload, file)


@app.post("/api/process")
def process_path(order: Order):
    path = pathlib.Path(order.filePath)
    if not path.exists():
        raise HTTPException(404, f"Fichier introuvable : {path}")
    if not path.is_file():
        raise HTTPException(400, f"Pas un fichier : {path}")
    require_pdf(path.name)
    with path.open("rb") as file:
        return process(file, order)


@app.post("/task/{task}")
def task_status(task: str):
    raise HTTPException(404, f"Tâche inconnue : {task}")
