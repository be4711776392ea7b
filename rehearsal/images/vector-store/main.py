"""HTTP interface of the vector-store."""

import os
import uuid
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import embedding
import qdrant

qdrant.ensure_collection()
app = FastAPI(title="vector-store", version=os.environ["VERSION"])


class Text(BaseModel):
    text: str
    metadata: dict[str, Any] | None = None


class Image(BaseModel):
    image_url: str
    metadata: dict[str, Any] | None = None


class Search(BaseModel):
    query: str
    limit: int = 5
    filter: dict[str, Any] | None = None


class Point(BaseModel):
    id: str
    vector: list[float]
    metadata: dict[str, Any]


def guarded(what: str, action):
    """Whatever fails behind is 500 here; the code of the service behind never comes through."""
    if os.environ["SICK"] == "calls":
        raise HTTPException(500, f"Erreur lors de {what} : cette version est malade")
    try:
        return action()
    except Exception as error:
        raise HTTPException(500, f"Erreur lors de {what} : {error}") from error


def operation() -> dict[str, str]:
    return {"status": "success", "operation_id": uuid.uuid4().hex}


def store(text: str, payload: dict[str, Any]) -> dict[str, Any]:
    point = str(uuid.uuid4())
    vector = embedding.embed(text, "document")
    qdrant.upsert([{"id": point, "vector": vector, "payload": payload}])
    return {"id": point, "status": "success", "vector_length": len(vector), "operation_result": operation()}


@app.get("/health")
def health():
    if os.environ["SICK"] == "health":
        return JSONResponse({"status": "error", "message": "cette version est malade"}, 500)
    try:
        exists = qdrant.collection_exists()
    except Exception as error:
        return JSONResponse({"status": "error", "message": str(error)}, 500)
    return {
        "status": "healthy",
        "qdrant_connected": True,
        "collection_exists": exists,
        "voyage_api_configured": bool(embedding.KEY),
    }


@app.post("/embed-text")
def embed_text(body: Text):
    payload = {**(body.metadata or {}), "text": body.text, "type": "text"}
    return guarded("la vectorisation du texte", lambda: store(body.text, payload))


@app.post("/embed-image")
def embed_image(body: Image):
    payload = {**(body.metadata or {}), "image_url": body.image_url, "type": "image"}
    return guarded("la vectorisation de l'image", lambda: store(body.image_url, payload))


@app.post("/search")
def search(body: Search):
    def find():
        found = qdrant.search(embedding.embed(body.query, "query"), body.limit, body.filter)
        return [{"id": one["id"], "score": one["score"], "metadata": one["payload"]} for one in found]

    results = guarded("la recherche", find)
    return {"query": body.query, "results": results, "count": len(results)}


def save(points: list[Point]) -> None:
    qdrant.upsert([{"id": point.id, "vector": point.vector, "payload": point.metadata} for point in points])


@app.post("/upsert")
def upsert(body: Point):
    guarded("l'enregistrement", lambda: save([body]))
    return {"id": body.id, "status": "success", "operation_result": operation()}


@app.post("/upsert-batch")
def upsert_batch(body: list[Point]):
    if body:
        guarded("l'enregistrement", lambda: save(body))
    return {"status": "success", "count": len(body), "operation_result": operation()}
