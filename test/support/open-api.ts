import { Ajv2020 } from "ajv/dist/2020.js";
import type { AdminResponse } from "./admin-client.js";

/** One operation of the document. */
export interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly hasBody: boolean;
  readonly isPublic: boolean;
  readonly params: readonly string[];
  readonly query: readonly string[];
  readonly statuses: readonly number[];
}

interface OperationJson {
  readonly operationId: string;
  readonly security: readonly unknown[];
  readonly requestBody?: unknown;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, ResponseJson>>;
}

interface ResponseJson {
  readonly description: string;
  readonly content?: Readonly<Record<string, unknown>>;
}

interface DocumentJson {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationJson>>>>;
}

/** An OpenAPI document, read by a validator that is not ours. */
export class OpenApiDocument {
  readonly json: DocumentJson;
  readonly operations: readonly Operation[];
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });

  constructor(json: unknown) {
    this.json = json as DocumentJson;
    this.#ajv.addSchema(this.json, "openapi");
    this.operations = Object.entries(this.json.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        id: operation.operationId,
        method: method.toUpperCase(),
        path,
        hasBody: operation.requestBody !== undefined,
        isPublic: operation.security.length === 0,
        params: (operation.parameters ?? []).filter((one) => one.in === "path").map(({ name }) => name),
        query: (operation.parameters ?? []).filter((one) => one.in === "query").map(({ name }) => name),
        statuses: Object.keys(operation.responses)
          .filter((status) => status !== "default")
          .map(Number),
      })),
    );
  }

  /** What is wrong with an answer, in words. */
  faults({ method, path }: Operation, response: AdminResponse): string[] {
    const { status, headers } = response;
    const responses = this.json.paths[path][method.toLowerCase()].responses;
    const type = headers["content-type"] ?? "";
    // The default stands for these alone: other statuses must be named.
    const isNamed = /\((\d{3})\)/g;
    const byDefault = [...(responses.default?.description ?? "").matchAll(isNamed)].map(([, text]) => Number(text));
    const name = byDefault.includes(status) ? "default" : `${status}`;
    if (!Object.hasOwn(responses, name)) return [`${method} ${path} answers ${status}, which is not documented`];
    if (!Object.hasOwn(responses[name].content ?? {}, type)) {
      return [`${method} ${path} answers ${status} as ${type}, which is not documented`];
    }
    if (response.json === undefined) return [];
    const at = ["paths", path, method.toLowerCase(), "responses", name, "content", type, "schema"];
    const pointer = at.map((part) => part.replaceAll("~", "~0").replaceAll("/", "~1")).map(encodeURIComponent);
    const validate = this.#ajv.compile({ $ref: `openapi#/${pointer.join("/")}` });
    if (validate(response.json)) return [];
    return (validate.errors ?? []).map(({ instancePath, message }) => `${method} ${path}: ${instancePath} ${message}`);
  }
}
