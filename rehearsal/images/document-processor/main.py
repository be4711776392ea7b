"""HTTP interface of the document-processor."""

import os
import pathlib
import uuid

from fastapi import FastAPI, HTTPException, Request, UploadFile
from pydantic import BaseModel

TEMP = pathlib.Path(os.environ.get("TEMP_DIR", "/tmp/technicia"))
TEMP.mkdir(parents=True, exist_ok=True)
GOOGLE = ["DOCUMENT_AI_PROJECT", "DOCUMENT_AI_LOCATION", "DOCUMENT_AI_PROCESSOR_ID"]

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
    configured = all(os.environ.get(name) for name in GOOGLE)
    return {"status": "healthy", "google_cloud_configured": configured, "temp_dir": str(TEMP), "active_tasks": 0}


def require_pdf(name: str | None) -> None:
    if not (name or "").lower().endswith(".pdf"):
        raise HTTPException(400, "Seuls les fichiers PDF sont acceptés")


def process(content: bytes):
    temporary = TEMP / f"{uuid.uuid4()}.pdf"
    temporary.write_bytes(content)
    temporary.unlink()
    raise HTTPException(500, "Erreur lors du traitement : Document AI est hors d'atteinte")


@app.post("/process")
def process_upload(file: UploadFile):
    require_pdf(file.filename)
    return process(file.file.read())


@app.post("/process-file")
async def process_file(request: Request):
    form = await request.form()
    file = form.get("file")
    if file is None or isinstance(file, str):
        raise HTTPException(400, f"Le champ file est absent ; reçus : {sorted(form)}")
    require_pdf(file.filename)
    return process(await file.read())


@app.post("/api/process")
def process_path(order: Order):
    path = pathlib.Path(order.filePath)
    if not path.exists():
        raise HTTPException(404, f"Fichier introuvable : {path}")
    if not path.is_file():
        raise HTTPException(400, f"Pas un fichier : {path}")
    require_pdf(path.name)
    return process(path.read_bytes())


@app.post("/task/{task}")
def task_status(task: str):
    raise HTTPException(404, f"Tâche inconnue : {task}")
