"""The load of a drill: its alerts are silenced while it runs, where everybody who lists the alerts sees that. A drill never fails because of it."""

import contextlib
import datetime
import json
import urllib.request

from base import moment, now, say, settings

# A drill that takes longer is worth an alert; what is cut off leaves its silence until then.
SECONDS = 2 * 3600
TIMEOUT = 10


@contextlib.contextmanager
def silenced():
    """As the settings say: which alerts, at which Alertmanager; nothing where the server is not watched."""
    known = settings().get("silence")
    made = make(known) if known else []
    try:
        yield
    finally:
        for name in made:
            end(known, name)


def make(known):
    made, began = [], now()
    try:
        for matchers in known["matchers"]:
            silence = {
                "matchers": matchers,
                "startsAt": moment(began),
                "endsAt": moment(began + datetime.timedelta(seconds=SECONDS)),
                "createdBy": "technicia-backup-drill",
                "comment": known["comment"],
            }
            answer = ask(f"{known['address']}/api/v2/silences", "POST", silence)
            made.append(json.loads(answer)["silenceID"])
    except (OSError, ValueError, KeyError) as error:
        say(f"the alerts about the drill's load are not silenced: {error}")
    return made


def end(known, name):
    try:
        ask(f"{known['address']}/api/v2/silence/{name}", "DELETE")
    except OSError as error:
        say(f"the silence {name[:8]} of the drill could not be ended and ends by itself, {SECONDS // 3600} hours after it began: {error}")


def ask(url, method, content=None):
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"}, method=method)
    # Alertmanager listens on this server's loopback, to which no proxy leads.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT) as response:
        return response.read()
