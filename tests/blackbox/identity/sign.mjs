// Signs assertions like Cloudflare Access does. node sign.mjs FILE: a JSON array of {claims, key?};
// prints {jwks, tokens}: the published key set and a token for each. `key` is "ours" or "theirs".
import { createSign, generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";

const pairs = Object.fromEntries(
  ["ours", "theirs"].map((name) => [name, generateKeyPairSync("rsa", { modulusLength: 2048 })]),
);
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

const tokens = JSON.parse(readFileSync(process.argv[2], "utf8")).map(({ claims, key = "ours" }) => {
  const signed = `${encode({ alg: "RS256", kid: "ours", typ: "JWT" })}.${encode(claims)}`;
  const signature = createSign("RSA-SHA256").update(signed).sign(pairs[key].privateKey, "base64url");
  return `${signed}.${signature}`;
});
const { n, e } = pairs.ours.publicKey.export({ format: "jwk" });
console.log(JSON.stringify({ jwks: { keys: [{ kid: "ours", kty: "RSA", alg: "RS256", use: "sig", n, e }] }, tokens }));
