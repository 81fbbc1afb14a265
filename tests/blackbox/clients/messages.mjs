// Anthropic's official Node client, unmodified: base URL, key and the App-Name header are all it is given.
// Prints one JSON object with what it received; the test compares.
import Anthropic from "@anthropic-ai/sdk";

const options = {
  baseURL: process.env.SLUICE_URL,
  apiKey: process.env.SLUICE_KEY,
  defaultHeaders: { "App-Name": "anthropic-client" },
  maxRetries: 0,
};
const client = new Anthropic(options);
const ask = {
  model: process.env.SLUICE_MODEL,
  max_tokens: 100,
  messages: [{ role: "user", content: "How does a sluice work?" }],
};
const cached = { cached_tokens: 3, cache_written_tokens: 2 };
const told = (message) => ({
  text: message.content[0].text,
  stop: message.stop_reason,
  input: message.usage.input_tokens,
  read: message.usage.cache_read_input_tokens,
  output: message.usage.output_tokens,
});

async function plain() {
  return told(await client.messages.create({ ...ask, sluice_demo: cached }));
}

async function events() {
  const seen = { text: "", types: [] };
  for await (const event of await client.messages.create({ ...ask, stream: true })) {
    if (event.type === "content_block_delta") seen.text += event.delta.text;
    if (seen.types.at(-1) !== event.type) seen.types.push(event.type);
  }
  return seen;
}

async function helped() {
  return told(await client.messages.stream({ ...ask, sluice_demo: cached }).finalMessage());
}

async function byToken() {
  const bearer = new Anthropic({ ...options, apiKey: null, authToken: process.env.SLUICE_KEY });
  return told(await bearer.messages.create(ask)).text;
}

// The class of error that the client raises, with its status and the gateway's code.
async function failure(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return [error.constructor.name, error.status ?? null, error.error?.error?.code ?? null];
  }
}

const failing = (change) => () => client.messages.create({ ...ask, ...change });
const demo = (wishes) => failing({ sluice_demo: wishes });
console.log(
  JSON.stringify({
    plain: await plain(),
    events: await events(),
    helped: await helped(),
    by_token: await byToken(),
    failures: {
      key: await failure(() => new Anthropic({ ...options, apiKey: "wrong" }).messages.create(ask)),
      model: await failure(failing({ model: "absent" })),
      app: await failure(() => client.messages.create(ask, { headers: { "App-Name": null } })),
      upstream: await failure(demo({ status: 529, body: '{"type":"error","error":{"type":"overloaded_error"}}' })),
      unreachable: await failure(demo({ drop_connection: true })),
      cut: await failure(async () => {
        const stream = await client.messages.create({ ...ask, stream: true, sluice_demo: { end_after: 1 } });
        for await (const _event of stream);
      }),
    },
  }),
);
