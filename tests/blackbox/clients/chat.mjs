// The official Node client, unmodified: base URL, key and the App-Name header are all it is given.
// Prints one JSON object with what it received; the test compares.
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.SLUICE_URL}/v1`,
  apiKey: process.env.SLUICE_KEY,
  defaultHeaders: { "App-Name": "node-client" },
  maxRetries: 0,
});
const ask = {
  model: process.env.SLUICE_MODEL,
  messages: [{ role: "user", content: "How does a sluice work?" }],
};

async function streamed(options) {
  let text = "";
  let usage = null;
  let bareChunks = 0;
  for await (const chunk of await client.chat.completions.create({ ...ask, ...options, stream: true })) {
    if (chunk.choices.length > 0) text += chunk.choices[0].delta.content ?? "";
    else bareChunks += 1;
    if (chunk.usage) usage = chunk.usage.total_tokens;
  }
  return { text, usage, bare_chunks: bareChunks };
}

const models = [];
for await (const model of await client.models.list()) models.push(model.id);
const plain = await client.chat.completions.create(ask);
console.log(
  JSON.stringify({
    models,
    plain: { text: plain.choices[0].message.content, usage: plain.usage.total_tokens },
    stream: await streamed({}),
    stream_with_usage: await streamed({ stream_options: { include_usage: true } }),
  }),
);
