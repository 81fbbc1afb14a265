"""Rules between objects, which no schema can say, for the test data of schemathesis.

Only data that fits its schema is touched; what is wrong on purpose stays wrong. Without these the checks
would have to allow 422 as an answer to valid data, and would then see nothing.
"""

import itertools
import os
import time

import requests
import schemathesis

NAME_CHARS_MAX = 64
ADMIN_TOKEN = os.environ.get("SLUICE_ADMIN_TOKEN")
NAMED = {
    ("POST", "/api/servers"),
    ("PUT", "/api/servers/{id}"),
    ("PATCH", "/api/servers/{id}"),
}
# Also another run on the same gateway has other names.
numbers = itertools.count(time.time_ns() // 1_000_000)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Gives servers names of their own, keys a time ahead, an order the servers that there are, and so on."""
    stay_here(case)
    if not case.meta or not case.meta.generation.mode.is_positive:
        return
    operation = (case.method.upper(), case.operation.path)
    if operation == ("GET", "/api/audit") and case.query.get("from", "") > case.query.get("to", "~"):
        del case.query["from"]
    if operation[1].startswith("/api/logs") and "to" in case.query:
        case.query.pop("from", None)
    if operation[1].startswith("/api/stats/usage"):
        # Whole hours that belong together, and a cursor of the very query, are more than a schema can say.
        for name in ("from", "to", "cursor"):
            case.query.pop(name, None)
    if not isinstance(case.body, dict):
        return
    if operation in NAMED and "name" in case.body:
        suffix = f"-{next(numbers)}"
        case.body["name"] = case.body["name"][: NAME_CHARS_MAX - len(suffix)] + suffix
    if operation == ("POST", "/api/keys") and isinstance(case.body.get("expires_at"), str):
        # A leap year, so that every day of the generated one exists.
        case.body["expires_at"] = "2096" + case.body["expires_at"][4:]
    if operation == ("POST", "/api/session") and ADMIN_TOKEN:
        case.body["token"] = ADMIN_TOKEN
    if operation == ("PUT", "/api/servers/order") and ADMIN_TOKEN:
        case.body["ids"] = servers(case.operation.base_url.rstrip("/"))


def stay_here(case):
    """Lets the gateway ask no host but this machine for models: generated names may be somebody's."""
    known = os.environ.get("SLUICE_SERVER_ID")
    parameters = case.path_parameters or {}
    if case.operation.path == "/api/servers/{id}/test":
        if str(parameters.get("id", "")).startswith("srv_"):
            parameters["id"] = known or "srv_none"
    elif known and case.method.upper() != "GET" and parameters.get("id") == known:
        parameters["id"] = "srv_none"


def servers(base_url):
    """The ids of all servers."""
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    ids, page = [], {"next_cursor": "0.a"}
    while page["next_cursor"]:
        query = {"limit": 500, "cursor": page["next_cursor"]} if ids else {"limit": 500}
        page = requests.get(f"{base_url}/api/servers", query, headers=headers, timeout=20).json()
        ids += [server["id"] for server in page["items"]]
    return ids[::-1]
