import { Ajv2020 } from "ajv/dist/2020.js";
import { configSchema } from "../../src/config/json-schema.js";

const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(configSchema());

/** What the published schema has against a config, as an editor would say it. */
export function schemaFaults(config: unknown): string[] {
  return validate(config)
    ? []
    : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
