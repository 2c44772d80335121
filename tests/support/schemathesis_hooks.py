"""Facts about Cruddur that no schema can express. `PEERS` has the handles of the users whose tokens it sends."""

import os
import unicodedata

import schemathesis

PEERS = set(filter(None, os.environ["PEERS"].split(",")))
# A schema's limits apply to a text as it is stored, without control characters and outer spaces. A schema counts code points, and
# Cruddur what a person sees as one character: texts in which those differ prove nothing.
LIMITS = {"AcceptedNegativeData", "RejectedPositiveData"}

deleted = set()


def kept(text):
    visible = "".join(c for c in text if c == "\n" or is_one_character(c))
    return " ".join(unicodedata.normalize("NFC", visible).split())


def is_one_character(c):
    """Whether it always is one: visible, and never joined to its neighbour."""
    joins = "\u1100" <= c <= "\u11ff" or "\ua960" <= c <= "\ua97f" or "\ud7b0" <= c <= "\ud7ff" or "\U0001f1e6" <= c <= "\U0001f1ff"
    return unicodedata.category(c)[0] not in "MC" and not joins and c not in "\u2800\u3164\uffa0\ufffc"


def texts(value):
    if isinstance(value, dict):
        return texts(list(value.values()))
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


@schemathesis.hook
def filter_case(context, case):
    """Both users can read messages between them, which would look as if one read the other's."""
    return not PEERS.intersection(texts(case.body))


@schemathesis.hook
def after_call(context, case, response):
    if case.method == "DELETE" and response.status_code == 204:
        deleted.add(case.path_parameters["uuid"])


@schemathesis.hook
def filter_failure(context, failure, case, response):
    # An Idempotency-Key that is repeated gets the first response, which may name rows deleted since.
    if type(failure).__name__ == "EnsureResourceAvailability":
        return case.path_parameters["uuid"] not in deleted
    if type(failure).__name__ not in LIMITS:
        return True
    return all(kept(text) == text for text in texts(case.body) + texts(dict(case.query or {})))
