"""Qdrant, as the vector-store calls it."""

import os
import time

import httpx

from embedding import SIZE

COLLECTION = os.environ.get("COLLECTION_NAME", "technicia")
KEY = os.environ.get("QDRANT_API_KEY", "")
HOST, PORT = os.environ.get("QDRANT_HOST", "qdrant"), os.environ.get("QDRANT_PORT", "6333")
START_SECONDS = 30

client = httpx.Client(base_url=f"http://{HOST}:{PORT}", headers={"api-key": KEY} if KEY else {}, timeout=30)


def call(method: str, path: str, body=None):
    answer = client.request(method, path, json=body)
    if answer.is_error:
        raise RuntimeError(f"Qdrant: {answer.status_code} {answer.text}")
    return answer.json()["result"]


def collection_exists() -> bool:
    return any(one["name"] == COLLECTION for one in call("GET", "/collections")["collections"])


def ensure_collection() -> None:
    """Waits for Qdrant, as it may start later; makes the collection if nobody has."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if not collection_exists():
                call("PUT", f"/collections/{COLLECTION}", {"vectors": {"size": SIZE, "distance": "Cosine"}})
            return
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def upsert(points: list[dict]) -> None:
    call("PUT", f"/collections/{COLLECTION}/points?wait=true", {"points": points})


def search(vector: list[float], limit: int, chosen) -> list[dict]:
    body = {"vector": vector, "limit": limit, "filter": chosen or None, "with_payload": True}
    return call("POST", f"/collections/{COLLECTION}/points/search", body)
