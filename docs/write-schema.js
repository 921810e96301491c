// Writes docs/config.schema.json from the tables of options: `npm run docs`. With `--check` it only compares.
import { readFileSync, writeFileSync } from "node:fs";
import { configSchema } from "../dist/config/json-schema.js";

const file = new URL("config.schema.json", import.meta.url);
const text = `${JSON.stringify(configSchema(), null, 1)}\n`;

if (process.argv.includes("--check")) {
  if (readFileSync(file, "utf8") !== text) {
    console.error("docs/config.schema.json is not what the tables say: run npm run docs");
    process.exitCode = 1;
  }
} else writeFileSync(file, text);
