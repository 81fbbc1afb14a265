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
NAMED = {
    ("POST", "/api/servers"),
    ("PUT", "/api/servers/{id}"),
    ("PATCH", "/api/servers/{id}"),
}
# Also another run on the same gateway has other names.
numbers = itertools.count(time.time_ns() // 1_000_000)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Gives servers names of their own, keys a time ahead, and an order the servers that there are."""
    if not case.meta or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    operation = (case.method.upper(), case.operation.path)
    if operation in NAMED and "name" in case.body:
        suffix = f"-{next(numbers)}"
        case.body["name"] = case.body["name"][: NAME_CHARS_MAX - len(suffix)] + suffix
    if operation == ("POST", "/api/keys") and isinstance(case.body.get("expires_at"), str):
        # A leap year, so that every day of the generated one exists.
        case.body["expires_at"] = "2096" + case.body["expires_at"][4:]
    if operation == ("PUT", "/api/servers/order") and "SLUICE_ADMIN_TOKEN" in os.environ:
        case.body["ids"] = servers(case.operation.base_url.rstrip("/"))


def servers(base_url):
    """The ids of all servers."""
    headers = {"Authorization": f"Bearer {os.environ['SLUICE_ADMIN_TOKEN']}"}
    ids, page = [], {"next_cursor": "0.a"}
    while page["next_cursor"]:
        query = {"limit": 500, "cursor": page["next_cursor"]} if ids else {"limit": 500}
        page = requests.get(f"{base_url}/api/servers", query, headers=headers, timeout=20).json()
        ids += [server["id"] for server in page["items"]]
    return ids[::-1]
