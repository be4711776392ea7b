"""The vector-store, which a file makes ill. Its own health check goes on finding it well: whoever asks from outside does not."""

import asyncio
import os
import pathlib
import threading
import time

from fastapi.responses import JSONResponse

from well import app

ILLNESS = os.environ["ILLNESS"]
TOLD = pathlib.Path("/tmp/ill")
LATER_SECONDS = 120
SLOW_SECONDS = 4
LEAK_MIB = 16

since = None
leaked = []


def fall_ill():
    global since
    while not TOLD.exists():
        time.sleep(0.2)
    since = time.monotonic()
    if ILLNESS == "crash":
        time.sleep(3)
        os._exit(1)
    while ILLNESS == "leak":
        leaked.append(bytearray(b"x") * (LEAK_MIB << 20))
        time.sleep(1)


def fails():
    if since is None:
        return False
    return ILLNESS == "errors" or (ILLNESS == "errors-later" and time.monotonic() - since > LATER_SECONDS)


@app.middleware("http")
async def answer(request, call_next):
    if request.client.host != "127.0.0.1":
        if fails():
            return JSONResponse({"status": "error", "message": "cette version est malade"}, 500)
        if since is not None and ILLNESS == "slow":
            await asyncio.sleep(SLOW_SECONDS)
    return await call_next(request)


threading.Thread(target=fall_ill, daemon=True).start()
