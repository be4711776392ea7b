"""The part of Qdrant's REST interface that TechnicIA uses, over Qdrant's own storage engine."""

import contextlib
import hashlib
import hmac
import os
import pathlib
import time
import urllib.parse

import uvicorn
import yaml
from fastapi import FastAPI, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse

from filters import BadFilter
from store import Refused, Store

VERSION = os.environ["QDRANT_VERSION"]
OPEN_PATHS = ("/", "/healthz")
OPEN_PREFIXES = ("/readyz", "/livez")


def read_settings():
    """config.yaml, then <RUN_MODE>.yaml over it, then QDRANT__SECTION__KEY over both."""
    settings = {}
    for name in ("config", os.environ.get("RUN_MODE", "development")):
        path = pathlib.Path(f"config/{name}.yaml")
        if path.exists():
            merge(settings, yaml.safe_load(path.read_text()) or {})
    for key, value in os.environ.items():
        if key.startswith("QDRANT__"):
            part = value
            for section in reversed(key.lower().split("__")[1:]):
                part = {section: part}
            merge(settings, part)
    return settings


def merge(into, part):
    for key, value in part.items():
        if isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


SETTINGS = read_settings()
API_KEY = SETTINGS["service"].get("api_key")
OTHER_KEY = SETTINGS["service"].get("alt_api_key")
READ_KEY = SETTINGS["service"].get("read_only_api_key")
STORE = Store(SETTINGS["storage"]["storage_path"], SETTINGS["storage"]["snapshots_path"])


@contextlib.asynccontextmanager
async def lifespan(_):
    yield
    STORE.close()


app = FastAPI(lifespan=lifespan, openapi_url=None)


def answer(result, began=None):
    return {"result": result, "status": "ok", "time": 0.0 if began is None else time.perf_counter() - began}


def failure(status, message):
    return JSONResponse({"status": {"error": message}, "time": 0.0}, status)


def is_key(given, key):
    return key is not None and hmac.compare_digest(given.encode(), str(key).encode())


def reads(method, path):
    return method in ("GET", "HEAD") or path.endswith(("/points", "/search", "/query", "/scroll", "/count")) and method == "POST"


@app.middleware("http")
async def authenticate(request: Request, proceed):
    path = request.url.path
    if API_KEY and path not in OPEN_PATHS and not path.startswith(OPEN_PREFIXES):
        given = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if given == "":
            return PlainTextResponse("Must provide an API key or an Authorization bearer token", 401)
        if not is_key(given, API_KEY) and not is_key(given, OTHER_KEY):
            if not is_key(given, READ_KEY):
                return PlainTextResponse("Invalid API key or JWT", 401)
            if not reads(request.method, path):
                return failure(403, "Forbidden: Global manage access is required")
    return await proceed(request)


@app.exception_handler(Refused)
async def refused(_, error):
    return failure(error.status, str(error))


@app.exception_handler(BadFilter)
async def bad_filter(_, error):
    return failure(400, str(error))


@app.exception_handler(RequestValidationError)
async def invalid(_, error):
    return failure(400, f"Format error in JSON body: {error.errors()[0]['msg']}")


@app.exception_handler(ValueError)
@app.exception_handler(TypeError)
@app.exception_handler(OverflowError)
async def unreadable(_, error):
    return failure(400, f"Format error in JSON body: {error}")


@app.exception_handler(Exception)
async def broken(_, error):
    return failure(500, f"Service internal error: {error}")


@app.exception_handler(KeyError)
async def missing(_, error):
    return failure(400, f"Format error in JSON body: missing field `{error.args[0]}`")


@app.get("/")
def version():
    return {"title": "qdrant - vector search engine", "version": VERSION, "commit": ""}


@app.get("/healthz")
@app.get("/livez")
def alive():
    return PlainTextResponse("healthz check passed")


@app.get("/readyz")
def ready():
    return PlainTextResponse("all shards are ready")


@app.get("/metrics")
def metrics():
    prefix = SETTINGS["service"].get("metrics_prefix", "")
    lines = [
        f"# TYPE {prefix}app_info gauge",
        f'{prefix}app_info{{name="qdrant",version="{VERSION}"}} 1',
        f"# TYPE {prefix}collections_total gauge",
        f"{prefix}collections_total {len(STORE.collections)}",
        f"# TYPE {prefix}collection_points gauge",
        *(f'{prefix}collection_points{{id="{name}"}} {one.count(None)}' for name, one in STORE.collections.items()),
    ]
    return PlainTextResponse("\n".join(lines) + "\n")


@app.get("/collections")
def list_collections():
    return answer({"collections": [{"name": name} for name in STORE.collections]})


@app.get("/aliases")
def list_aliases():
    named = [{"alias_name": alias, "collection_name": name} for alias, name in STORE.aliases.items()]
    return answer({"aliases": named})


@app.post("/collections/aliases")
def rename_aliases(body: dict):
    STORE.rename_aliases(body["actions"])
    return answer(True)


@app.get("/collections/{name}")
def describe(name: str):
    return answer(STORE.get(name).describe())


@app.get("/collections/{name}/exists")
def exists(name: str):
    return answer({"exists": name in STORE.collections})


@app.put("/collections/{name}")
def create(name: str, body: dict):
    STORE.create(name, body["vectors"])
    return answer(True)


@app.delete("/collections/{name}")
def delete(name: str):
    found = STORE.delete(name)
    STORE.forget_aliases(name)
    return answer(found)


@app.put("/collections/{name}/index")
def create_index(name: str, body: dict):
    schema = body["field_schema"]
    STORE.get(name).create_index(body["field_name"], schema["type"] if isinstance(schema, dict) else schema)
    return answer({"operation_id": 0, "status": "completed"})


@app.delete("/collections/{name}/index/{field}")
def delete_index(name: str, field: str):
    STORE.get(name).delete_index(field)
    return answer({"operation_id": 0, "status": "completed"})


@app.put("/collections/{name}/points")
def upsert(name: str, body: dict):
    STORE.get(name).upsert(body["points"])
    return answer({"operation_id": 0, "status": "completed"})


@app.post("/collections/{name}/points/delete")
def delete_points(name: str, body: dict):
    STORE.get(name).delete(body)
    return answer({"operation_id": 0, "status": "completed"})


@app.post("/collections/{name}/points")
def retrieve(name: str, body: dict):
    return answer(STORE.get(name).retrieve(body["ids"], body.get("with_payload", True), body.get("with_vector", False)))


@app.get("/collections/{name}/points/{point}")
def retrieve_one(name: str, point: str):
    found = STORE.get(name).retrieve([int(point) if point.isdigit() else point], True, True)
    if not found:
        raise Refused(404, f"Not found: Point with id {point} does not exists!")
    return answer(found[0])


def find(name, body, vector):
    return STORE.get(name).search(
        vector,
        body.get("limit", 10),
        body.get("offset", 0),
        body.get("filter"),
        body.get("with_payload", False),
        body.get("with_vector", False),
        body.get("score_threshold"),
    )


@app.post("/collections/{name}/points/search")
def search(name: str, body: dict):
    began = time.perf_counter()
    return answer(find(name, body, body["vector"]), began)


@app.post("/collections/{name}/points/query")
def query(name: str, body: dict):
    began = time.perf_counter()
    given = body["query"]
    return answer({"points": find(name, body, given["nearest"] if isinstance(given, dict) else given)}, began)


@app.post("/collections/{name}/points/scroll")
def scroll(name: str, body: dict):
    limit, offset = body.get("limit", 10), body.get("offset")
    found = STORE.get(name).scroll(limit, offset, body.get("filter"), body.get("with_payload", True), body.get("with_vector", False))
    return answer(found)


@app.post("/collections/{name}/points/count")
def count(name: str, body: dict):
    return answer({"count": STORE.get(name).count(body.get("filter"))})


def snapshot_folder(name):
    folder = STORE.snapshots / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def describe_snapshot(path):
    made = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(path.stat().st_mtime))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": path.name, "creation_time": made, "size": path.stat().st_size, "checksum": checksum}


@app.post("/collections/{name}/snapshots")
def create_snapshot(name: str):
    collection = STORE.get(name)
    path = snapshot_folder(name) / f"{name}-{time.time_ns()}.snapshot"
    collection.snapshot(path, VERSION)
    return answer(describe_snapshot(path))


@app.get("/collections/{name}/snapshots")
def list_snapshots(name: str):
    STORE.get(name)
    return answer([describe_snapshot(path) for path in sorted(snapshot_folder(name).glob("*.snapshot"))])


def find_snapshot(name, snapshot):
    path = snapshot_folder(name) / pathlib.PurePath(snapshot).name
    if not path.exists():
        raise Refused(404, f"Not found: Snapshot {snapshot} not found")
    return path


@app.get("/collections/{name}/snapshots/{snapshot}")
def download_snapshot(name: str, snapshot: str):
    return FileResponse(find_snapshot(name, snapshot))


@app.delete("/collections/{name}/snapshots/{snapshot}")
def delete_snapshot(name: str, snapshot: str):
    find_snapshot(name, snapshot).unlink()
    return answer(True)


@app.post("/collections/{name}/snapshots/upload")
def upload_snapshot(name: str, snapshot: UploadFile, priority: str = "replica"):
    path = STORE.snapshots / "tmp" / f"{name}-{time.time_ns()}.snapshot"
    path.write_bytes(snapshot.file.read())
    try:
        STORE.recover(name, path, priority, VERSION)
    finally:
        path.unlink()
    return answer(True)


@app.put("/collections/{name}/snapshots/recover")
def recover_snapshot(name: str, body: dict):
    location = urllib.parse.urlsplit(body["location"])
    path = pathlib.Path(location.path)
    if location.scheme != "file":
        raise Refused(400, "Wrong input: Snapshot recovery from URL is disabled")
    if not path.exists():
        raise Refused(400, f"Wrong input: Snapshot file {str(path)!r} does not exist")
    wanted, found = body.get("checksum"), hashlib.sha256(path.read_bytes()).hexdigest()
    if wanted not in (None, found):
        raise Refused(400, f"Wrong input: Snapshot checksum mismatch: expected {wanted}, got {found}")
    STORE.recover(name, path, body.get("priority", "replica"), VERSION)
    return answer(True)


if __name__ == "__main__":
    service = SETTINGS["service"]
    uvicorn.run(app, host=service["host"], port=int(service["http_port"]), log_level="warning", timeout_graceful_shutdown=10)
