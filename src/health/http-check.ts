import { type HttpCheckConfig, isCheckHost, isCheckPath } from "../config/http-check.js";
import { badOption } from "../config/units.js";
import type { Clock } from "../core/clock.js";
import { isDialFault } from "../core/dead-hosts.js";
import { hostOf, type Node } from "../core/node.js";
import { checkRange } from "../core/option-range.js";
import type { ByteStream, Dial, DialHandler, DialTarget, StreamHandler } from "../core/stream.js";
import { parseVersion, type Version } from "../core/version.js";
import { CheckAnswer, type CheckResult, type Expectation, failed } from "./check-answer.js";

/** One check of a node. Never rejects; the signal ends it at once, and then it says nothing about the node. */
export type Check = (node: Node, signal: AbortSignal) => Promise<CheckResult>;

export interface HttpCheckDependencies {
  readonly clock: Clock;
  readonly dial: Dial;
  readonly targetsOf: (node: Node) => readonly DialTarget[];
}

/** What one check asks and expects; the rest of `HttpCheckConfig` says when. */
export type HttpCheckOptions = Omit<HttpCheckConfig, "intervalMs" | "healthyThreshold" | "unhealthyThreshold">;

/**
 * Asks a node one question over HTTP/1.1, on a connection of its own: an idle one could be kept by a node that takes
 * no new ones. The addresses of its name are dialled in turn, as for requests, and everything shares `timeoutMs`.
 *
 * The path stands below the node's base path, so `/health` asks a node `10.0.0.1:80/base` for `/base/health`. Where
 * a node is nothing but an address, as in HAProxy and Envoy, the path of a check is simply what that node is asked
 * for; here the base path is part of the node's name. Two nodes may share an address and differ in that alone, and an
 * absolute path would ask both the same question.
 *
 * Throws `ERR_OPTION` for options that cannot be sent or that no answer could fit.
 */
export function httpCheck(dependencies: HttpCheckDependencies, options: HttpCheckOptions): Check {
  const expectation = expectationOf(options);
  return (node, signal) =>
    new Promise((resolve) => {
      new Question(dependencies, options, expectation, node, signal, resolve).ask();
    });
}

function expectationOf(options: HttpCheckOptions): Expectation {
  const { path, host, method, timeoutMs, statuses, bodyIncludes, bodyBytesMax, minVersion } = options;
  if (!isCheckPath(path)) throw badOption('option "check-path"', "a path from / on without blanks or #", path);
  if (!isCheckHost(host)) throw badOption('option "check-host"', "a host, with or without a port", host);
  checkRange("check-timeout", timeoutMs, { from: 1 });
  checkRange("bodyBytesMax", bodyBytesMax, { from: 1 });
  if (statuses.length === 0) throw badOption('option "check-statuses"', "at least one status", "");
  const isHead = method === "HEAD";
  if (isHead && (bodyIncludes !== "" || minVersion !== ""))
    throw badOption('option "check-method"', "GET where a body is expected", method);
  return {
    isHead,
    statuses,
    bodyBytesMax,
    bodyIncludes: bodyIncludes === "" ? undefined : Buffer.from(bodyIncludes),
    minVersion: minVersion === "" ? undefined : versionOf(minVersion),
  };
}

function versionOf(text: string): Version {
  const version = parseVersion(text);
  if (version === undefined)
    throw badOption('option "check-min-version"', "a version of Semantic Versioning 2.0.0 such as 1.2.3", text);
  return version;
}

/** The request of a check as a node gets it. */
function requestOf({ method, path, host }: HttpCheckOptions, node: Node): Buffer {
  const lines = [
    `${method} ${node.address.basePath}${path} HTTP/1.1`,
    `Host: ${host === "" ? hostOf(node) : host}`,
    "User-Agent: fnlb-check",
    "Connection: close",
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

/** One check under way: a dial, then a stream, and whatever ends first ends both. */
class Question implements DialHandler, StreamHandler {
  readonly #dependencies: HttpCheckDependencies;
  readonly #options: HttpCheckOptions;
  readonly #answer: CheckAnswer;
  readonly #node: Node;
  readonly #signal: AbortSignal;
  readonly #resolve: (result: CheckResult) => void;
  readonly #onAbort = () => this.#end({ passed: undefined, reason: "stopped" });
  #targets: readonly DialTarget[] = [];
  #tried = 0;
  #cancelTimer = () => {};
  #cancelDial = () => {};
  #stream: ByteStream | undefined;
  #isOver = false;

  constructor(
    dependencies: HttpCheckDependencies,
    options: HttpCheckOptions,
    expectation: Expectation,
    node: Node,
    signal: AbortSignal,
    resolve: (result: CheckResult) => void,
  ) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#answer = new CheckAnswer(expectation);
    this.#node = node;
    this.#signal = signal;
    this.#resolve = resolve;
  }

  ask(): void {
    const { clock, targetsOf } = this.#dependencies;
    if (this.#signal.aborted) {
      this.#onAbort();
      return;
    }
    this.#targets = targetsOf(this.#node);
    if (this.#targets.length === 0) {
      this.#end(failed("unresolved"));
      return;
    }
    this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#cancelTimer = clock.after(this.#options.timeoutMs, () => this.#end(failed("timeout")));
    this.#dialNext();
  }

  #dialNext(): void {
    this.#cancelDial = this.#dependencies.dial(this.#targets[this.#tried], this);
  }

  onDialed(stream: ByteStream): void {
    this.#stream = stream;
    stream.handler = this;
    const request = requestOf(this.#options, this.#node);
    stream.resume();
    stream.write(request, 0, request.length);
  }

  onDialFailed(code: string): void {
    this.#tried++;
    if (this.#tried < this.#targets.length && isDialFault(code)) this.#dialNext();
    else this.#end(resultOf(code));
  }

  onData(buffer: Buffer, start: number, end: number): void {
    if (this.#isOver) return;
    const result = this.#answer.feed(buffer, start, end);
    if (result !== undefined) this.#end(result);
  }

  onDrain(): void {}

  onEnd(): void {
    if (!this.#isOver) this.#end(this.#answer.finish());
  }

  onClose(code: string | undefined): void {
    this.#end(code === undefined ? failed("closed") : resultOf(code));
  }

  #end(result: CheckResult): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimer();
    this.#signal.removeEventListener("abort", this.#onAbort);
    if (this.#stream === undefined) this.#cancelDial();
    else this.#stream.destroy();
    this.#resolve(result);
  }
}

/** What a system error says of the node; faults of our own say nothing, or one of them would take all nodes out. */
function resultOf(code: string): CheckResult {
  if (!isDialFault(code)) return { passed: undefined, reason: code };
  switch (code) {
    case "ECONNREFUSED":
    case "ENOENT":
      return failed("refused");
    case "ETIMEDOUT":
      return failed("timeout");
    case "ECONNRESET":
    case "EPIPE":
      return failed("reset");
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EHOSTDOWN":
    case "ENETDOWN":
      return failed("unreachable");
    default:
      return failed(code);
  }
}
