// OpenAI's own client against the server: chat, completions, streams, errors.
import assert from "node:assert/strict";
import { OpenAI, apiKey, baseURL, client, model, test } from "./openai-harness.mjs";

const messages = [{ role: "user", content: "What is a file?" }];
const settings = { model, messages, temperature: 0, max_tokens: 12 };

let said;
await test("models", async () => {
  const list = await client.models.list();
  assert.deepEqual(list.data.map((model) => model.id), [model]);
  assert.equal((await client.models.retrieve(model)).object, "model");
});
await test("chat", async () => {
  const answer = await client.chat.completions.create(settings);
  said = answer.choices[0].message.content;
  assert.ok(said.length > 0);
  assert.equal(answer.choices[0].finish_reason, "length");
  assert.equal(answer.usage.completion_tokens, 12);
});
await test("streaming", async () => {
  let text = "", usage, chunks = 0;
  const stream = await client.chat.completions.create({ ...settings, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
    chunks++;
  }
  assert.equal(text, said);
  assert.equal(usage.completion_tokens, 12);
  assert.ok(chunks > 3);
});
await test("the helper that collects a stream", async () => {
  const runner = client.chat.completions.stream(settings);
  assert.equal(await runner.finalContent(), said);
});
await test("log-probabilities", async () => {
  const answer = await client.chat.completions.create({ ...settings, logprobs: true, top_logprobs: 3 });
  const { content } = answer.choices[0].logprobs;
  assert.equal(content.length, 12);
  assert.equal(content.map((token) => token.token).join(""), said);
  assert.ok(content.every((token) => token.logprob <= 0 && token.top_logprobs.length === 3));
});
await test("several choices, with a seed", async () => {
  const ask = () => client.chat.completions.create({ ...settings, n: 3, temperature: 1, seed: 5 });
  const [one, two] = await Promise.all([ask(), ask()]);
  assert.equal(one.choices.length, 3);
  assert.deepEqual(one.choices, two.choices);
  assert.notEqual(one.choices[0].message.content, one.choices[1].message.content);
});
await test("several choices, streamed", async () => {
  const asked = { ...settings, n: 2, temperature: 1, seed: 5 };
  const texts = ["", ""], reasons = [];
  for await (const { choices } of await client.chat.completions.create({ ...asked, stream: true })) {
    for (const { index, delta, finish_reason } of choices) {
      texts[index] += delta.content ?? "";
      if (finish_reason) reasons[index] = finish_reason;
    }
  }
  const whole = await client.chat.completions.create(asked);
  assert.deepEqual(texts, whole.choices.map((choice) => choice.message.content));
  assert.deepEqual(reasons, ["length", "length"]);
});
await test("parts, developer, stop", async () => {
  const answer = await client.chat.completions.create({
    ...settings,
    messages: [{ role: "developer", content: "Be brief." }, { role: "user", content: [{ type: "text", text: "Hi" }] }],
    stop: ["e"],
    max_completion_tokens: 40,
    max_tokens: undefined,
  });
  assert.ok(!answer.choices[0].message.content.includes("e"));
  assert.ok(answer.usage.completion_tokens <= 40);
});
await test("completions", async () => {
  const answer = await client.completions.create({ model, prompt: "The file system", max_tokens: 5, temperature: 0 });
  assert.ok(answer.choices[0].text.length > 0);
  assert.equal(answer.usage.completion_tokens, 5);
});
await test("cancel", async () => {
  const stream = await client.chat.completions.create({ ...settings, max_tokens: 1900, temperature: 1.5, stream: true, logit_bias: { 1: -100 } });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta?.content) break;
  }
  const root = baseURL.replace(/\/v1$/, "");
  for (let i = 0; i < 100; i++) {
    const metrics = await (await fetch(`${root}/metrics`, { headers: { Authorization: `Bearer ${apiKey}` } })).text();
    if (/^mlxcel_sequences_running 0$/m.test(metrics)) return;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  assert.fail("it still runs");
});
await test("what the server lacks is not asked for again", async () => {
  let asked = 0;
  const count = (...request) => (asked++, fetch(...request));
  const patient = new OpenAI({ baseURL, apiKey, maxRetries: 2, fetch: count });
  await assert.rejects(patient.embeddings.create({ model, input: "x" }), (error) => error.status === 501);
  assert.equal(asked, 1);
});
await test("errors", async () => {
  const fails = (promise, type, check) => assert.rejects(promise, (error) => error instanceof type && check(error));
  await fails(client.chat.completions.create({ ...settings, model: "gpt-9" }), OpenAI.NotFoundError, (e) => e.code === "model_not_found");
  await fails(client.chat.completions.create({ ...settings, temperature: -1 }), OpenAI.BadRequestError, (e) => e.param === "temperature");
  await fails(client.chat.completions.create({ ...settings, messages: [{ role: "user", content: "word ".repeat(9000) }] }),
    OpenAI.BadRequestError, (e) => e.code === "context_length_exceeded");
  await fails(client.embeddings.create({ model, input: "x" }), OpenAI.APIError, (e) => e.status === 501);
  const stranger = new OpenAI({ baseURL, apiKey: "not-the-key", maxRetries: 0 });
  await fails(stranger.models.list(), OpenAI.AuthenticationError, (e) => e.code === "invalid_api_key");
});
