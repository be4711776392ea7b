"""HTTP interface of the vision-classifier. Like the original it does not start without readable Google credentials."""

import base64
import binascii
import json
import os

from fastapi import FastAPI, HTTPException, UploadFile
from pydantic import BaseModel

with open(os.environ["GOOGLE_APPLICATION_CREDENTIALS"], encoding="utf-8") as credentials:
    json.load(credentials)

app = FastAPI(title="vision-classifier", version=os.environ["VERSION"])


class Encoded(BaseModel):
    image: str | None = None


@app.get("/health")
def health():
    return {"status": "healthy", "google_vision_initialized": True}


def classify(_content: bytes):
    raise HTTPException(500, "Erreur lors de la classification : Google Vision est hors d'atteinte")


@app.post("/classify")
def classify_upload(file: UploadFile):
    if not (file.content_type or "").startswith("image/"):
        raise HTTPException(400, "Le fichier doit être une image")
    return classify(file.file.read())


@app.post("/classify-base64")
def classify_encoded(body: Encoded):
    if body.image is None:
        raise HTTPException(400, "Le champ image est absent")
    try:
        content = base64.b64decode(body.image.split(";base64,")[-1], validate=True)
    except binascii.Error as error:
        raise HTTPException(400, f"Image illisible : {error}") from error
    return classify(content)
