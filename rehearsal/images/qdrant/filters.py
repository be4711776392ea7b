"""Qdrant's filters, from the words of its REST interface to those of its storage engine."""

import qdrant_edge as edge


class BadFilter(ValueError):
    """A filter that Qdrant would refuse too."""


KEYS = {"must", "should", "must_not", "min_should"}


def read_filter(given):
    """Returns the engine's filter; None for none or an empty one."""
    if given is None or given == {}:
        return None
    unknown = set(given) - KEYS
    if unknown:
        raise BadFilter(f"Format error in JSON body: unknown field `{sorted(unknown)[0]}`")
    minimum = given.get("min_should")
    return edge.Filter(
        must=_conditions(given.get("must")),
        should=_conditions(given.get("should")),
        must_not=_conditions(given.get("must_not")),
        min_should=minimum and edge.MinShould(_conditions(minimum["conditions"]), minimum["min_count"]),
    )


def _conditions(given):
    if given is None:
        return None
    return [_condition(one) for one in (given if isinstance(given, list) else [given])]


def _condition(given):
    if "has_id" in given:
        return edge.HasIdCondition(set(given["has_id"]))
    if "is_empty" in given:
        return edge.IsEmptyCondition(given["is_empty"]["key"])
    if "key" not in given:
        return read_filter(given)
    return edge.FieldCondition(given["key"], match=_match(given.get("match")), range=_range(given.get("range")))


def _match(given):
    if given is None:
        return None
    if "value" in given:
        return edge.MatchValue(given["value"])
    if "any" in given:
        return edge.MatchAny(given["any"])
    if "except" in given:
        return edge.MatchExcept(given["except"])
    if "text" in given:
        return edge.MatchText(given["text"])
    raise BadFilter("Format error in JSON body: data did not match any variant of untagged enum Match")


def _range(given):
    if given is None:
        return None
    return edge.RangeFloat(gte=given.get("gte"), gt=given.get("gt"), lte=given.get("lte"), lt=given.get("lt"))
