// OpenAI's own client against the server: responses.
import assert from "node:assert/strict";
import { OpenAI, client, model, test } from "./openai-harness.mjs";

const settings = { model, input: "How is the weather in Bern?", temperature: 0, max_output_tokens: 12 };
const weather = {
  type: "function",
  name: "weather",
  strict: true,
  parameters: {
    type: "object",
    properties: { days: { type: "integer", minimum: 1, maximum: 7 } },
    required: ["days"],
    additionalProperties: false,
  },
};
const person = {
  type: "object",
  properties: { name: { type: "string", maxLength: 8 } },
  required: ["name"],
  additionalProperties: false,
};

let said;
await test("a text", async () => {
  const response = await client.responses.create({ ...settings, instructions: "Be brief." });
  said = response.output_text;
  assert.ok(said.length > 0);
  assert.equal(response.status, "incomplete");
  assert.equal(response.incomplete_details.reason, "max_output_tokens");
  assert.equal(response.usage.output_tokens, 12);
  assert.equal(response.instructions, "Be brief.");
});
await test("a stream", async () => {
  let text = "", last;
  const stream = await client.responses.create({ ...settings, instructions: "Be brief.", stream: true });
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event;
  }
  assert.equal(text, said);
  assert.equal(last.type, "response.incomplete");
});
await test("the helper that collects a stream", async () => {
  const response = await client.responses.stream({ ...settings, instructions: "Be brief." }).finalResponse();
  assert.equal(response.output_text, said);
});
await test("a call, and its result", async () => {
  const asked = { ...settings, max_output_tokens: 1500, tools: [weather] };
  const response = await client.responses.create({ ...asked, tool_choice: "required" });
  const [call] = response.output;
  assert.equal(call.type, "function_call");
  const { days } = JSON.parse(call.arguments);
  assert.ok(Number.isInteger(days) && days >= 1 && days <= 7);
  const input = [{ role: "user", content: settings.input }, ...response.output,
    { type: "function_call_output", call_id: call.call_id, output: "rain" }];
  const answer = await client.responses.create({ ...asked, max_output_tokens: 8, input });
  assert.ok(answer.usage.input_tokens > response.usage.input_tokens);
});
await test("a schema", async () => {
  const text = { format: { type: "json_schema", name: "person", strict: true, schema: person } };
  const response = await client.responses.parse({ ...settings, max_output_tokens: 1500, text });
  assert.equal(response.status, "completed");
  assert.deepEqual(Object.keys(response.output_parsed), ["name"]);
});
await test("errors", async () => {
  await assert.rejects(client.responses.create({ ...settings, previous_response_id: "resp_1" }), (error) => error.status === 501);
  await assert.rejects(client.responses.create({ ...settings, temperature: -1 }), OpenAI.BadRequestError);
});
