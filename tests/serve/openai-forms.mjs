// OpenAI's own client against the server: calls of tools and answers of a given form.
import assert from "node:assert/strict";
import { OpenAI, client, model, test } from "./openai-harness.mjs";

const messages = [{ role: "user", content: "How is the weather in Bern?" }];
const settings = { model, messages, temperature: 0, max_tokens: 1500 }; // more than the longest document of a schema below
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "the weather of a place",
    parameters: {
      type: "object",
      properties: { city: { type: "string", maxLength: 10 }, days: { type: "integer", minimum: 1, maximum: 7 } },
      required: ["city", "days"],
      additionalProperties: false,
    },
  },
};
const now = { type: "function", function: { name: "now" } };
const named = (name) => ({ type: "function", function: { name } });
const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 12 },
    kind: { enum: ["user", "group"] },
    ids: { type: "array", items: { type: "integer", minimum: 0, maximum: 99 }, minItems: 1, maxItems: 3 },
  },
  required: ["name", "kind", "ids"],
  additionalProperties: false,
};
const response_format = { type: "json_schema", json_schema: { name: "person", strict: true, schema: person } };

function checkWeather(text) {
  const { city, days, ...rest } = JSON.parse(text);
  assert.equal(typeof city, "string");
  assert.ok(Number.isInteger(days) && days >= 1 && days <= 7);
  assert.deepEqual(rest, {});
}

function checkPerson(text) {
  const { name, kind, ids, ...rest } = JSON.parse(text);
  assert.ok([...name].length <= 12);
  assert.ok(["user", "group"].includes(kind));
  assert.ok(ids.length >= 1 && ids.length <= 3 && ids.every((id) => Number.isInteger(id) && id >= 0 && id <= 99));
  assert.deepEqual(rest, {});
}

let called;
await test("a call that is required", async () => {
  const answer = await client.chat.completions.create({ ...settings, tools: [weather, now], tool_choice: "required" });
  const [choice] = answer.choices;
  assert.equal(choice.finish_reason, "tool_calls");
  assert.equal(choice.message.content, null);
  assert.equal(choice.message.tool_calls.length, 1);
  called = choice.message;
  const { name, arguments: text } = choice.message.tool_calls[0].function;
  if (name === "weather") checkWeather(text);
  else assert.deepEqual(JSON.parse(text), {});
});
await test("a tool that is named, streamed", async () => {
  const runner = client.chat.completions.stream({ ...settings, tools: [weather, now], tool_choice: named("weather") });
  const answer = await runner.finalChatCompletion();
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  assert.equal(call.function.name, "weather");
  assert.match(call.id, /^call_/);
  checkWeather(call.function.arguments);
});
await test("the helper that runs tools", async () => {
  let ran = 0;
  const run = { ...weather, function: { ...weather.function, parse: JSON.parse, function: ({ days }) => (ran++, `${days} days of rain`) } };
  const runner = client.chat.completions.runTools({ ...settings, tools: [run], tool_choice: named("weather") });
  await runner.done();
  assert.equal(ran, 1);
  assert.match(await runner.finalFunctionToolCallResult(), /days of rain/);
});
await test("a conversation with the result", async () => {
  const answer = await client.chat.completions.create({
    ...settings,
    max_tokens: 8,
    tools: [weather, now],
    messages: [...messages, called, { role: "tool", tool_call_id: called.tool_calls[0].id, content: "rain" }],
  });
  assert.ok(["length", "stop", "tool_calls"].includes(answer.choices[0].finish_reason));
});
await test("tools that are not called", async () => {
  const plain = { ...settings, max_tokens: 8 };
  const answer = await client.chat.completions.create({ ...plain, tools: [weather], tool_choice: "none" });
  assert.equal(answer.choices[0].message.tool_calls, undefined);
  assert.equal(answer.choices[0].message.content, (await client.chat.completions.create(plain)).choices[0].message.content);
});
await test("a schema", async () => {
  const answer = await client.chat.completions.create({ ...settings, response_format });
  assert.equal(answer.choices[0].finish_reason, "stop");
  checkPerson(answer.choices[0].message.content);
});
await test("a schema, hot, several at once, streamed", async () => {
  const ask = (seed) => client.chat.completions.stream({ ...settings, temperature: 2, seed, response_format }).finalContent();
  for (const content of await Promise.all([1, 2, 3, 4, 5, 6].map(ask))) checkPerson(content);
});
await test("any object", async () => {
  const answer = await client.chat.completions.create({ ...settings, max_tokens: 120, response_format: { type: "json_object" } });
  assert.ok(answer.choices[0].message.content.startsWith("{"));
  if (answer.choices[0].finish_reason === "stop") JSON.parse(answer.choices[0].message.content);
});
await test("errors", async () => {
  const bad = (more) => client.chat.completions.create({ ...settings, ...more });
  const schema = { type: "json_schema", json_schema: { name: "x", schema: { type: "object", minProperties: 2 } } };
  await assert.rejects(bad({ response_format: schema }), (error) => error.status === 501 && /minProperties/.test(error.message));
  await assert.rejects(bad({ tools: [weather], tool_choice: named("later") }), OpenAI.BadRequestError);
  await assert.rejects(bad({ tool_choice: "required" }), OpenAI.BadRequestError);
});
