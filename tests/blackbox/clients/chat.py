"""The official Python client, unmodified: base URL, key and the App-Name header are all it is given.

Prints one JSON object with what it received; the test compares.
"""

import json
import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ["SLUICE_URL"] + "/v1",
    api_key=os.environ["SLUICE_KEY"],
    default_headers={"App-Name": "python-client"},
    max_retries=0,
)
ask = {
    "model": os.environ["SLUICE_MODEL"],
    "messages": [{"role": "user", "content": "How does a sluice work?"}],
}


def streamed(**options):
    """Text, usage and number of chunks without choices of a streamed chat."""
    text, usage, bare = "", None, 0
    for chunk in client.chat.completions.create(**ask, stream=True, **options):
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
        else:
            bare += 1
        if chunk.usage:
            usage = chunk.usage.total_tokens
    return {"text": text, "usage": usage, "bare_chunks": bare}


plain = client.chat.completions.create(**ask)
print(
    json.dumps(
        {
            "models": [model.id for model in client.models.list()],
            "plain": {"text": plain.choices[0].message.content, "usage": plain.usage.total_tokens},
            "stream": streamed(),
            "stream_with_usage": streamed(stream_options={"include_usage": True}),
        }
    )
)
