// The official Node client at the endpoints beside the chat: base URL, key and the App-Name header are all it is
// given. Prints one JSON object with what it received; the test compares.
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.SLUICE_URL}/v1`,
  apiKey: process.env.SLUICE_KEY,
  defaultHeaders: { "App-Name": "node-client" },
  maxRetries: 0,
});
const model = process.env.SLUICE_MODEL;
const prompt = "How does a sluice work?";

async function completions() {
  const plain = await client.completions.create({ model, prompt });
  let text = "";
  let usage = null;
  const options = { stream: true, stream_options: { include_usage: true } };
  for await (const chunk of await client.completions.create({ model, prompt, ...options })) {
    text += chunk.choices[0]?.text ?? "";
    usage = chunk.usage?.total_tokens ?? usage;
  }
  return {
    plain: { text: plain.choices[0].text, usage: plain.usage.total_tokens },
    stream: { text, usage },
  };
}

async function embeddings() {
  const one = await client.embeddings.create({ model, input: prompt, encoding_format: "float" });
  const tokens = await client.embeddings.create({ model, input: [[1, 2], [3]], encoding_format: "float" });
  return {
    one: { vectors: one.data.length, usage: one.usage.total_tokens },
    tokens: { vectors: tokens.data.length, usage: tokens.usage.total_tokens },
  };
}

async function responses() {
  const plain = await client.responses.create({ model, input: prompt });
  let pieces = "";
  let last = null;
  for await (const event of await client.responses.create({ model, input: prompt, stream: true })) {
    if (event.type === "response.output_text.delta") pieces += event.delta;
    last = event;
  }
  const helped = await client.responses.stream({ model, input: prompt }).finalResponse();
  return {
    plain: { text: plain.output_text, usage: plain.usage.total_tokens },
    stream: { text: pieces, usage: last.response.usage.total_tokens, last: last.type },
    helped: { text: helped.output_text, usage: helped.usage.total_tokens },
  };
}

// What a client sees when its stream breaks off.
async function broken() {
  try {
    const ask = { model, input: prompt, stream: true, sluice_demo: { end_after: 2 } };
    for await (const _event of await client.responses.create(ask));
    return null;
  } catch (error) {
    return { kind: error instanceof OpenAI.APIError, code: error.code };
  }
}

console.log(
  JSON.stringify({
    completions: await completions(),
    embeddings: await embeddings(),
    responses: await responses(),
    broken: await broken(),
  }),
);
