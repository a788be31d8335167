// What the tests with OpenAI's own client share. argv: the server's base URL, and the folder that holds the package.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export const [, , baseURL, folder] = process.argv;
const require = createRequire(join(folder, "package.json"));
export const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")).href);
export const apiKey = "a-secret-key";
export const model = "demo-llama-7m";
export const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
let passed = 0, failed = 0;

export async function test(name, body) {
  try {
    await body();
    passed++;
  } catch (error) {
    console.error(`${name}: ${error.stack}`);
    failed++;
    process.exitCode = 1;
  }
}

process.on("beforeExit", () => console.log(`openai: ${passed} passed, ${failed} failed, 0 skipped`));
