import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseAllDocuments } from "yaml";
import { parseListenAddress } from "../../src/config/listen-address.js";
import { environmentName, OPTION_LIST } from "../../src/config/options.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { startFunctionNodes } from "../support/function-node.js";
import { ROOT, runProgram } from "../support/program.js";

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly failureThreshold?: number;
}

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly secretKeyRef?: { readonly name: string; readonly key: string; readonly optional?: boolean };
  };
}

interface Container {
  readonly image: string;
  readonly command?: readonly string[];
  readonly env?: readonly Variable[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe: Probe;
  readonly livenessProbe?: Probe;
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly resources: {
    readonly requests: object;
    readonly limits: { readonly memory: string; readonly cpu?: string };
  };
  readonly securityContext: object;
}

interface Labels {
  readonly app: string;
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly replicas?: number;
    readonly clusterIP?: string;
    readonly maxUnavailable?: number;
    readonly selector: Labels & { readonly matchLabels: Labels };
    readonly podSelector: { readonly matchLabels: Labels };
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[];
    readonly ingress: readonly { readonly from?: unknown; readonly ports: readonly { readonly port: string }[] }[];
    readonly template: {
      readonly metadata: { readonly labels: Labels };
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly enableServiceLinks?: boolean;
        readonly automountServiceAccountToken: boolean;
        readonly securityContext: object;
        readonly containers: readonly Container[];
      };
    };
  };
}

/** What most clusters set; the default of their DNS server is 5 s. */
const CLUSTER_DNS_TTL_MS = 30_000;
const NAMESPACE = "some-namespace";
const SECRET: Readonly<Record<string, string>> = {
  "admin-token": "0123456789abcdef0123456789abcdef",
  store: "redis://:secret@store:6379/0",
};
const TEXT = readFileSync(join(ROOT, "docker/kubernetes.yaml"), "utf8");

const manifests = parseAllDocuments(TEXT).map((document) => {
  assert.deepEqual(document.errors, []);
  return document.toJS() as Manifest;
});

function find(kind: string, name: string): Manifest {
  return manifests.find((one) => one.kind === kind && one.metadata.name === name) ?? assert.fail(`${kind} ${name}`);
}

/** The variables as the kubelet would set them. */
function environmentOf({ env = [] }: Container): Record<string, string> {
  const set: Record<string, string> = {};
  for (const { name, value, valueFrom } of env) {
    if (valueFrom?.fieldRef !== undefined) {
      assert.equal(valueFrom.fieldRef.fieldPath, "metadata.namespace");
      set[name] = NAMESPACE;
    } else if (valueFrom?.secretKeyRef !== undefined)
      set[name] = SECRET[valueFrom.secretKeyRef.key] ?? assert.fail(name);
    // Only what stands above it: that is how the kubelet does it.
    else set[name] = (value ?? assert.fail(name)).replaceAll(/\$\((\w+)\)/g, (_, other: string) => set[other]);
  }
  return set;
}

function portOf(address = ""): number | undefined {
  const parsed = parseListenAddress(address);
  return parsed?.kind === "tcp" ? parsed.port : undefined;
}

describe("the Kubernetes manifest", () => {
  const fnlb = find("Deployment", "fnlb");
  const pod = fnlb.spec.template.spec;
  const [container] = pod.containers;
  const environment = environmentOf(container);
  const config = resolveConfig({ env: environment });
  const nodePod = find("Deployment", "function-node").spec.template.spec;
  const [node] = nodePod.containers;

  it("gives fnlb what it knows and takes, and nothing that only looks like it", () => {
    const names = new Set(OPTION_LIST.map(([name]) => environmentName(name)));
    const variables = Object.keys(environment).filter((name) => name !== "NAMESPACE");
    assert.deepEqual(
      variables.filter((name) => !names.has(name)),
      [],
    );
    assert.equal(pod.enableServiceLinks, false);
  });

  it("names ports that fnlb listens to", () => {
    const ports = Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, containerPort]));
    assert.deepEqual(ports, { http: portOf(environment.FNLB_LISTEN), admin: portOf(environment.FNLB_ADMIN) });
    assert.deepEqual(
      find("Service", "fnlb").spec.ports.map(({ targetPort }) => targetPort),
      ["http"],
    );
  });

  it("asks the admin listener whether the process is well and whether it may have traffic", () => {
    const { startupProbe, readinessProbe, livenessProbe } = container;
    for (const probe of [startupProbe, readinessProbe, livenessProbe]) assert.equal(probe?.httpGet.port, "admin");
    assert.equal(readinessProbe.httpGet.path, "/readyz");
    assert.equal(livenessProbe?.httpGet.path, "/healthz");
    assert.equal(startupProbe?.httpGet.path, "/healthz");
  });

  it("has probes that need no token, and the one for traffic fails before fnlb refuses any", async (t) => {
    const [a] = await startFunctionNodes(t, 1);
    // As in the pod, but for the addresses, and for what only a cluster has.
    const { FNLB_DISCOVER: _, FNLB_DISCOVER_MAX_INTERVAL: __, FNLB_STORE: ___, ...env } = environment;
    const places = { FNLB_LISTEN: "127.0.0.1:0", FNLB_ADMIN: "127.0.0.1:0", FNLB_NODES: a.address };
    const program = runProgram(t, [], { env: { ...env, ...places } });
    const traffic = `http://127.0.0.1:${await program.port()}`;
    const admin = `http://${(await program.event("admin_listening")).address}`;
    const ask = async (url: string) => {
      const response = await fetch(url);
      await response.arrayBuffer();
      return [response.status, response.headers.get("connection")] as const;
    };
    const { startupProbe, readinessProbe, livenessProbe } = container;
    for (const probe of [startupProbe, readinessProbe, livenessProbe]) {
      assert.equal((await ask(`${admin}${probe?.httpGet.path}`))[0], 200);
    }
    assert.equal((await ask(`${admin}/v1/nodes`))[0], 401);
    program.signal("SIGTERM");
    await program.event("signal");
    assert.equal((await ask(`${admin}${readinessProbe.httpGet.path}`))[0], 503);
    assert.equal((await ask(`${admin}${livenessProbe?.httpGet.path}`))[0], 200);
    assert.deepEqual(await ask(`${traffic}/x`), [200, "close"]);
  });

  it("has a token, from a secret that stands in no file", () => {
    const token = container.env?.find(({ name }) => name === "FNLB_ADMIN_TOKEN")?.valueFrom?.secretKeyRef;
    assert.deepEqual(token, { name: "fnlb", key: "admin-token" });
    assert.ok(TEXT.includes("kubectl create secret generic fnlb --from-literal=admin-token="));
    const store = container.env?.find(({ name }) => name === "FNLB_STORE")?.valueFrom?.secretKeyRef;
    assert.deepEqual(store, { name: "fnlb", key: "store", optional: true });
    assert.equal(
      manifests.some(({ kind }) => kind === "Secret"),
      false,
    );
  });

  it("lets fnlb finish before it is killed", () => {
    const [program, seconds] = container.lifecycle.preStop.exec.command;
    assert.equal(program, "sleep");
    const neededMs = Number(seconds) * 1000 + config.drainDelayMs + config.shutdownTimeoutMs;
    assert.ok(pod.terminationGracePeriodSeconds * 1000 >= neededMs + 5000, `${neededMs} ms, and some to end in`);
    // Load balancers that check by themselves have noticed before the listeners close.
    const { periodSeconds } = container.readinessProbe;
    assert.ok(config.drainDelayMs >= 2 * periodSeconds * 1000);
  });

  it("lets nodes serve until fnlb has heard that they leave", () => {
    const [program, seconds] = node.lifecycle.preStop.exec.command;
    assert.equal(program, "sleep");
    const { discoverIntervalMaxMs } = config.clusters[0];
    assert.ok(Number(seconds) * 1000 >= CLUSTER_DNS_TTL_MS + discoverIntervalMaxMs);
    assert.ok(nodePod.terminationGracePeriodSeconds > Number(seconds));
  });

  it("discovers the pods of the headless service, on the port that they listen to", () => {
    const service = find("Service", "function-node");
    assert.equal(service.spec.clusterIP, "None");
    assert.equal(
      environment.FNLB_DISCOVER,
      `dns4:function-node.${NAMESPACE}.svc.cluster.local:${node.ports[0].containerPort}`,
    );
    assert.equal(service.spec.ports[0].port, node.ports[0].containerPort);
    assert.deepEqual(
      service.spec.ports.map(({ targetPort }) => targetPort),
      [node.ports[0].name],
    );
  });

  it("selects pods that there are", () => {
    for (const name of ["fnlb", "function-node"]) {
      const { selector, template } = find("Deployment", name).spec;
      assert.deepEqual(template.metadata.labels, selector.matchLabels);
      assert.deepEqual(find("Service", name).spec.selector, template.metadata.labels);
    }
    const { labels } = fnlb.spec.template.metadata;
    const budget = find("PodDisruptionBudget", "fnlb").spec;
    assert.deepEqual(budget.selector.matchLabels, labels);
    assert.ok((budget.maxUnavailable ?? 0) < (fnlb.spec.replicas ?? 1), "one serves on");
    assert.deepEqual(find("NetworkPolicy", "fnlb").spec.podSelector.matchLabels, labels);
  });

  it("lets anybody come for traffic, and chosen pods only to the admin port", () => {
    const { ingress } = find("NetworkPolicy", "fnlb").spec;
    const open = ingress.filter(({ from }) => from === undefined).flatMap(({ ports }) => ports);
    assert.deepEqual(open, [{ port: "http" }]);
  });

  it("gives nobody more rights than he needs", () => {
    for (const { containers, ...spec } of [pod, nodePod]) {
      assert.equal(spec.automountServiceAccountToken, false);
      assert.deepEqual(spec.securityContext, {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        seccompProfile: { type: "RuntimeDefault" },
      });
      for (const { securityContext, resources } of containers) {
        assert.deepEqual(securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
        assert.ok(resources.limits.memory);
      }
    }
  });

  it("runs what the image has, at the version that is here", () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { readonly version: string };
    for (const { image } of [container, node]) assert.equal(image, `fnlb:${version}`);
    assert.ok(TEXT.includes(`-t fnlb:${version} `));
    const [, file] = node.command ?? [];
    assert.ok(existsSync(join(ROOT, file)), file);
  });
});
