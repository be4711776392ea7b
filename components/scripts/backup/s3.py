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
    address, _, rest = settings()["repository"].removeprefix("s3:").partition("://")
    host, bucket, prefix = rest.split("/", 2)
    query = {"max-keys": "1", "prefix": f"{prefix}/{name}", "versions": ""}
    text = "&".join(f"{key}={urllib.parse.quote(value, safe='')}" for key, value in sorted(query.items()))
    path = f"/{urllib.parse.quote(bucket)}"
    request = urllib.request.Request(f"{address}://{host}{path}?{text}", headers=signed(host, path, text))
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            page = answer.read().decode()
    except urllib.error.HTTPError as error:
        if error.code in NO_VERSIONS:
            return False
        raise Problem(
            f"{address}://{host}{path}: expected the versions of {prefix}/{name}, got {error.code}; look at the bucket, the region and the reader's key, "
            "which needs s3:ListBucketVersions"
        ) from None
    except OSError as error:
        raise Problem(f"{address}://{host}{path}: expected an answer, got {error}") from None
    return "<Version>" in page or "<DeleteMarker>" in page


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
