"""Text → 1024 numbers: VoyageAI's model, or without a key that it knows the same words always in the same direction."""

import hashlib
import math
import os
import re

import httpx

SIZE = 1024
MODEL = os.environ.get("EMBED_MODEL", "voyage-3")
URL = os.environ.get("VOYAGE_URL", "https://api.voyageai.com/v1/embeddings")
KEY = os.environ.get("VOYAGE_API_KEY", "")
LOCAL = KEY == ""


def embed(text: str, purpose: str) -> list[float]:
    """`purpose` is `query` or `document`, the two that VoyageAI tells apart."""
    if LOCAL:
        return embed_locally(text)
    answer = httpx.post(
        URL,
        headers={"Authorization": f"Bearer {KEY}"},
        json={"model": MODEL, "input": text, "input_type": purpose},
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json()["data"][0]["embedding"]


def embed_locally(text: str) -> list[float]:
    vector = [0.0] * SIZE
    for token in re.findall(r"\w+", text.lower()) or [""]:
        digest = hashlib.sha256(token.encode()).digest()
        for at in range(0, 12, 3):
            vector[int.from_bytes(digest[at : at + 2], "big") % SIZE] += 1.0 if digest[at + 2] & 1 else -1.0
    length = math.sqrt(sum(part * part for part in vector)) or 1.0
    return [part / length for part in vector]
