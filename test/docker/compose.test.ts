import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { parseListenAddress } from "../../src/config/listen-address.js";
import { environmentName, OPTION_LIST } from "../../src/config/options.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { durationMs } from "../support/duration.js";
import { ROOT } from "../support/program.js";

interface Service {
  readonly image: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly user?: string;
  readonly healthcheck?: object;
  readonly stop_grace_period?: string;
  readonly networks?: readonly string[];
  readonly network_mode?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

interface ComposeFile {
  readonly name?: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly networks?: Readonly<Record<string, { readonly internal?: boolean } | null>>;
}

/** As whoever follows the comments of replicas.yaml would set them. */
const SHELL: Readonly<Record<string, string>> = {
  FNLB_ADMIN_TOKEN: "0123456789abcdef0123456789abcdef",
  REDIS_PASSWORD: "fedcba9876543210",
};
const NAMES = new Set(OPTION_LIST.map(([name]) => environmentName(name)));

/** `${NAME}`, `${NAME:-default}` and `${NAME:?complaint}` as Compose replaces them. */
function withShell(text: string): string {
  return text.replaceAll(/\$\{(\w+)(?::(-|\?)([^}]*))?\}/g, (_, name: string, kind?: string, rest = "") => {
    const value = SHELL[name] ?? (kind === "-" ? rest : undefined);
    assert.ok(value !== undefined, `${name} must be set, and no comment says so`);
    return value;
  });
}

function read(file: string): ComposeFile {
  return parse(withShell(readFileSync(join(ROOT, "docker", file), "utf8")), { merge: true }) as ComposeFile;
}

function portOf(address: string): number | undefined {
  const parsed = parseListenAddress(address);
  return parsed?.kind === "tcp" ? parsed.port : undefined;
}

const FILES = readdirSync(join(ROOT, "docker"))
  .filter((file) => file.endsWith(".yaml") && file !== "kubernetes.yaml")
  .sort();

describe("the compose files", () => {
  it("are these", () => {
    assert.deepEqual(FILES, ["compose.yaml", "replicas.yaml", "sidecar.yaml"]);
  });

  for (const file of FILES) {
    const compose = read(file);
    const services = Object.entries(compose.services);
    const balancers = services.filter(([, { environment = {} }]) => "FNLB_LISTEN" in environment);

    it(`${file} gives fnlb what it knows and takes`, () => {
      assert.ok(balancers.length > 0);
      for (const [name, { environment = {} }] of balancers) {
        for (const variable of Object.keys(environment)) assert.ok(NAMES.has(variable), `${name}: ${variable}`);
        resolveConfig({ env: environment });
      }
    });

    it(`${file} lets fnlb drain before it is killed`, () => {
      for (const [name, { environment = {}, stop_grace_period = "10s" }] of balancers) {
        const { drainDelayMs, shutdownTimeoutMs } = resolveConfig({ env: environment });
        assert.ok(durationMs(stop_grace_period) > drainDelayMs + shutdownTimeoutMs, name);
      }
    });

    it(`${file} publishes ports that something listens to, that of the admin API on this machine only`, () => {
      const shared = new Map(balancers.map(([name, { network_mode }]) => [network_mode, name]));
      for (const [name, { ports = [], environment = {} }] of services) {
        const { FNLB_LISTEN = "", FNLB_ADMIN = "" } =
          compose.services[shared.get(`service:${name}`) ?? ""]?.environment ?? environment;
        for (const published of ports) {
          const [, place, port] = /^(.*:)?\d+:(\d+)$/.exec(published) ?? [];
          assert.ok([portOf(FNLB_LISTEN), portOf(FNLB_ADMIN)].includes(Number(port)), `${name}: ${published}`);
          if (Number(port) === portOf(FNLB_ADMIN)) assert.equal(place, "127.0.0.1:", `${name}: ${published}`);
        }
      }
    });

    it(`${file} gives nobody more rights than he needs`, () => {
      for (const [name, { read_only, cap_drop, user = "" }] of services) {
        assert.equal(read_only, true, name);
        assert.deepEqual(cap_drop, ["ALL"], name);
        const isNamedInImage = balancers.some(([balancer]) => balancer === name);
        assert.ok(isNamedInImage || /^[1-9]\d*:[1-9]\d*$/.test(user), name);
      }
    });

    it(`${file} waits for what there is, and is of use to Compose 1`, () => {
      assert.equal(compose.name, undefined);
      for (const [name, { depends_on = {} }] of services) {
        for (const [other, { condition }] of Object.entries(depends_on)) {
          assert.equal(condition, "service_healthy", name);
          assert.ok(compose.services[other].healthcheck, `${other} says how it is`);
        }
      }
    });
  }

  it("replicas.yaml has no secrets in it, and keeps nodes away from the store", () => {
    const text = readFileSync(join(ROOT, "docker/replicas.yaml"), "utf8");
    for (const name of Object.keys(SHELL)) assert.ok(text.includes(`\${${name}:?`), `${name} has no default`);
    const { services, networks } = read("replicas.yaml");
    const { redis, "fnlb-1": one, "fnlb-2": other } = services;
    assert.deepEqual(redis.networks, ["store"]);
    assert.equal(networks?.store?.internal, true);
    assert.equal(redis.ports, undefined);
    for (const name of ["node-a", "node-b", "node-c"]) assert.deepEqual(services[name].networks, ["traffic"]);
    assert.deepEqual(one.environment, other.environment);
    const { store, clusters } = resolveConfig({ env: one.environment ?? {} });
    assert.equal(store, `redis://:${SHELL.REDIS_PASSWORD}@redis:6379/0`);
    const ids = clusters[0].nodes.map(({ id }) => id);
    assert.deepEqual(ids, ["node-a:8080", "node-b:8080"], "the third is for whoever follows the comments");
  });
});
