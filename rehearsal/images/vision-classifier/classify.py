"""What Vision says of an image → whether it is a technical diagram, and of what."""

# The team's own words for each type, in French and English.
TYPES = {
    "electrical": ["circuit", "électrique", "electrical", "wiring", "câblage", "résistance", "transformateur", "tension"],
    "hydraulic": ["hydraulique", "hydraulic", "pompe", "pump", "vérin", "valve", "vanne", "huile"],
    "pneumatic": ["pneumatique", "pneumatic", "air", "compresseur", "compressor", "cylinder", "pression"],
    "mechanical": ["mécanique", "mechanical", "engrenage", "gear", "roulement", "bearing", "arbre", "shaft"],
}
DIAGRAM = ["diagram", "schematic", "blueprint", "circuit", "plan", "drawing", "technical drawing", "schéma", "dessin"]
MOST_COLOURS = 5


def classify(answer: dict) -> dict:
    """`answer` is one of Vision's; the result is what the contract declares, without its time."""
    labels = [
        {
            "description": one["description"].lower(),
            "score": one.get("score", 0.0),
            "topicality": one.get("topicality", 0.0),
        }
        for one in answer.get("labelAnnotations", [])
    ]
    text = answer.get("fullTextAnnotation", {}).get("text", "")
    described = [one["description"] for one in labels]
    read = " ".join([*described, text.lower()])
    kind, confidence = kind_of(read)
    return {
        "is_technical_diagram": any(word in described or word in text.lower() for word in DIAGRAM),
        "schema_type": kind,
        "confidence": confidence,
        "labels": labels,
        "detected_text": text,
        "dominant_colors": colours(answer),
    }


def kind_of(read: str) -> tuple[str, float]:
    words = set(read.replace(",", " ").replace(".", " ").split())
    found = {kind: len(words.intersection(known)) for kind, known in TYPES.items()}
    best = max(found, key=lambda kind: found[kind])
    if found[best] == 0:
        return "unknown", 0.0
    share = found[best] / len(TYPES[best])
    return best, min(1.0, share * 1.2) if found[best] > 2 else share


def colours(answer: dict) -> list[dict]:
    seen = answer.get("imagePropertiesAnnotation", {}).get("dominantColors", {}).get("colors", [])
    return [
        {
            **{part: one.get("color", {}).get(part, 0) for part in ("red", "green", "blue")},
            "score": one.get("score", 0.0),
            "pixel_fraction": one.get("pixelFraction", 0.0),
        }
        for one in seen[:MOST_COLOURS]
    ]
