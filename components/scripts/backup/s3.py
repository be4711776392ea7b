"""What restic does not tell of the storage: whether an object was there, although somebody has deleted it."""

import configparser
import hashlib
import hmac
import urllib.error
import urllib.parse
import urllib.request

from base import CREDENTIALS, Problem, now, settings

SECONDS = 60
NO_VERSIONS = (400, 405, 501)


def had(name):
    """Whether the storage has, or had, an object of the repository whose name begins so: a delete marker hides one and leaves it there."""
    place, prefix = place_of(settings()["repository"])
    status, page = ask({"max-keys": "1", "prefix": f"{prefix}/{name}", "versions": ""})
    if status in NO_VERSIONS:
        return False
    if status != 200:
        raise Problem(
            f"{place}: expected the versions of {prefix}/{name}, got {status}; look at the bucket, the region and the reader's key, "
            "which needs s3:ListBucketVersions"
        )
    return "<Version>" in page or "<DeleteMarker>" in page


def holds(name):
    """Whether the storage has an object of the repository whose name begins so; False where it does not say: restic then finds out why."""
    try:
        status, page = ask({"max-keys": "1", "prefix": f"{place_of(settings()['repository'])[1]}/{name}"})
    except Problem:
        return False
    return status == 200 and "<Contents>" in page


def refusal():
    """What the storage answers where it refuses: some of restic's requests get no reason."""
    try:
        status, page = ask({"max-keys": "1", "prefix": f"{place_of(settings()['repository'])[1]}/"})
    except Problem:
        return ""
    return "" if status == 200 else page


def place_of(repository):
    """Address of the bucket, and what is before the names of the repository's objects."""
    scheme, _, rest = repository.removeprefix("s3:").partition("://")
    host, bucket, prefix = rest.split("/", 2)
    return f"{scheme}://{host}/{urllib.parse.quote(bucket)}", prefix


def ask(query):
    """Status and text of the answer about the bucket; fails where there is none."""
    place, _ = place_of(settings()["repository"])
    text = "&".join(f"{key}={urllib.parse.quote(value, safe='')}" for key, value in sorted(query.items()))
    host, path = urllib.parse.urlsplit(place)[1:3]
    request = urllib.request.Request(f"{place}?{text}", headers=signed(host, path, text))
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        raise Problem(f"{place}: expected an answer, got {error}") from None


def signed(host, path, query):
    """AWS's signature, version 4, of a request that only reads; with the reader's key."""
    region, at = settings()["region"], now()
    known = configparser.RawConfigParser()
    known.read_string((CREDENTIALS / "reader").read_text())
    day, moment, empty = at.strftime("%Y%m%d"), at.strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": moment}
    names = ";".join(headers)
    canonical = "\n".join(["GET", path, query, *(f"{name}:{value}" for name, value in headers.items()), "", names, empty])
    scope = f"{day}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{known['default']['aws_secret_access_key']}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    identity = f"{known['default']['aws_access_key_id']}/{scope}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 Credential={identity}, SignedHeaders={names}, Signature={key.hex()}"}
