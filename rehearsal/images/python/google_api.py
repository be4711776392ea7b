"""Google's REST APIs as a service account calls them: a signed assertion for a token, and the token for the calls."""

import base64
import json
import os
import threading
import time

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

AUDIENCE = "https://oauth2.googleapis.com/token"
TOKEN_URL = os.environ.get("GOOGLE_TOKEN_URL", AUDIENCE)
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME = 3600
# Quotas are per minute, and a service that is away comes back within seconds.
TRIES = 3
PAUSE = float(os.environ.get("GOOGLE_PAUSE_SECONDS", "1"))
LONGEST_PAUSE = 10.0
PASSING = {429, 500, 502, 503, 504}


class GoogleError(Exception):
    """What Google refused, in its own words."""


class Google:
    """Calls with the key file at `path`; one token serves all of them until shortly before its end."""

    def __init__(self, path: str):
        with open(path, encoding="utf-8") as file:
            self._key = json.load(file)
        self._client = httpx.Client(timeout=120)
        self._lock = threading.Lock()
        self._token, self._end = "", 0.0

    def post(self, url: str, body: dict) -> dict:
        """The answer to one call, which changes nothing at Google and so may be repeated."""
        answer = self._repeat(lambda: self._client.post(url, json=body, headers=self._authorization()))
        return read(answer)

    def _authorization(self) -> dict[str, str]:
        with self._lock:
            if time.time() > self._end - 60:
                form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._assertion()}
                issued = read(self._client.post(TOKEN_URL, data=form))
                self._token, self._end = issued["access_token"], time.time() + issued["expires_in"]
            return {"Authorization": f"Bearer {self._token}"}

    def _assertion(self) -> str:
        issued = int(time.time())
        header = {"alg": "RS256", "typ": "JWT", "kid": self._key["private_key_id"]}
        claims = {"iss": self._key["client_email"], "scope": SCOPE, "aud": AUDIENCE}
        parts = [encode(json.dumps(part).encode()) for part in (header, {**claims, "iat": issued, "exp": issued + LIFETIME})]
        private = serialization.load_pem_private_key(self._key["private_key"].encode(), None)
        signature = private.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, encode(signature)])

    def _repeat(self, ask) -> httpx.Response:
        for left in range(TRIES - 1, -1, -1):
            try:
                answer = ask()
            except httpx.TransportError as error:
                if left == 0:
                    raise GoogleError(f"Google est injoignable ({type(error).__name__})") from error
            else:
                if answer.status_code not in PASSING or left == 0:
                    return answer
                wanted = answer.headers.get("retry-after", "")
                if wanted.isdigit():
                    time.sleep(min(float(wanted), LONGEST_PAUSE))
                    continue
            time.sleep(PAUSE)
        raise AssertionError("unreachable")


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def read(answer: httpx.Response) -> dict:
    if answer.is_success:
        return answer.json()
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = "réponse illisible"
    if isinstance(error, dict):
        details = [one["description"] for part in error.get("details", []) for one in part.get("fieldViolations", [])]
        error = " ".join([f"{error.get('status')} {error.get('message')}", *details])
    raise GoogleError(f"Google répond {answer.status_code} : {error}")
