"""HTTP interface of the vision-classifier. Like the original it does not start without readable Google credentials."""

import base64
import binascii
import os
import time

from fastapi import FastAPI, HTTPException, UploadFile
from pydantic import BaseModel

from classify import classify
from google_api import Google, GoogleError

ANNOTATE = f"{os.environ.get('VISION_URL', 'https://vision.googleapis.com')}/v1/images:annotate"
FEATURES = [{"type": "LABEL_DETECTION", "maxResults": 10}, {"type": "TEXT_DETECTION"}, {"type": "IMAGE_PROPERTIES"}]

google = Google(os.environ["GOOGLE_APPLICATION_CREDENTIALS"])
app = FastAPI(title="vision-classifier", version=os.environ["VERSION"])


class Encoded(BaseModel):
    image: str | None = None


@app.get("/health")
def health():
    return {"status": "healthy", "google_vision_initialized": True}


def look(content: bytes) -> dict:
    request = {"image": {"content": base64.b64encode(content).decode()}, "features": FEATURES}
    try:
        answer = google.post(ANNOTATE, {"requests": [request]})["responses"][0]
        if "error" in answer:
            raise GoogleError(answer["error"].get("message", "sans raison"))
    except (GoogleError, KeyError, IndexError, ValueError) as error:
        raise HTTPException(500, f"Erreur lors de la classification : {error}") from error
    return {**classify(answer), "processing_time": time.time()}


@app.post("/classify")
def classify_upload(file: UploadFile):
    if not (file.content_type or "").startswith("image/"):
        raise HTTPException(400, "Le fichier doit être une image")
    return look(file.file.read())


@app.post("/classify-base64")
def classify_encoded(body: Encoded):
    if body.image is None:
        raise HTTPException(400, "Le champ image est absent")
    try:
        content = base64.b64decode(body.image.split(";base64,")[-1], validate=True)
    except binascii.Error as error:
        raise HTTPException(400, f"Image illisible : {error}") from error
    return look(content)
