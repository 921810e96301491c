// What the page asks of the admin API. The token lives in this tab's session storage and goes into one header only.
import { byId, find, setText } from "./document.js";

const TOKEN_ITEM = "fnlb-token";
/** Of one question or edit; the balancer itself gives up sooner. */
const ANSWER_MS = 15_000;
/** What can stand in the header: others cannot be tokens, and could not even be sent. */
const TOKEN_TEXT = /^[\x21-\x7e]+$/;
const TOKEN_ASKED =
  "This balancer asks for the token that it was started with (--admin-token). It is kept for this tab only.";
const TOKEN_REFUSED = "That token was refused. It is the one that the balancer was started with (--admin-token).";

/** An answer of 400 and above, or none at all. */
export class ApiError extends Error {
  /**
   * @param {number} status 0: no answer
   * @param {string} detail
   * @param {string} [code]
   */
  constructor(status, detail, code = "") {
    super(detail);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

/** @type {Promise<boolean> | undefined} The question for the token that is open now: everybody waits for one answer. */
let question;

/**
 * A request with the token; asks for one where the API wants it, and rejects with an `ApiError` where it is not given.
 * @param {string} path relative to the page
 * @param {RequestInit & { readonly answerMs?: number, readonly headMs?: number }} [init] with the longest time that
 * an answer may take, or its head alone
 * @returns {Promise<Response>}
 */
export async function request(path, { answerMs, headMs, ...init } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN_ITEM);
    const headers = new Headers(init.headers);
    if (token !== null) headers.set("authorization", `Bearer ${token}`);
    // Each try has its own time: somebody may have looked for the token in between.
    const head = new AbortController();
    const timer =
      headMs === undefined ? 0 : setTimeout(() => head.abort(new DOMException("no head", "TimeoutError")), headMs);
    const answer = answerMs === undefined ? [] : [AbortSignal.timeout(answerMs)];
    const signal = AbortSignal.any([head.signal, ...answer, ...(init.signal ? [init.signal] : [])]);
    const response = await fetch(path, { ...init, signal, headers, cache: "no-store" })
      .catch((error) => {
        if (init.signal?.aborted === true) throw error;
        const isLate = error instanceof DOMException && error.name === "TimeoutError";
        const limitMs = answerMs ?? headMs ?? 0;
        throw new ApiError(0, isLate ? `no answer within ${limitMs / 1000} s` : "no answer from the balancer");
      })
      .finally(() => clearTimeout(timer));
    if (response.ok) return response;
    if (response.status !== 401) throw await problemOf(response);
    // Meanwhile somebody else may have asked, and got another one.
    if (sessionStorage.getItem(TOKEN_ITEM) !== token) continue;
    question ??= askToken(token !== null).finally(() => {
      question = undefined;
    });
    if (!(await question)) throw new ApiError(401, "a token is needed", "ERR_UNAUTHORIZED");
  }
}

/**
 * The JSON of an answer; with a body, that of an edit.
 * @template T
 * @param {string} path
 * @param {{ readonly method?: string, readonly body?: object }} [call]
 * @returns {Promise<T>}
 */
export async function call(path, { method = "GET", body } = {}) {
  const response = await request(path, {
    method,
    answerMs: ANSWER_MS,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return await response.json();
}

/**
 * The path of a node; its id may hold slashes.
 * @param {{ readonly cluster: string, readonly id: string }} node
 */
export function nodePath({ cluster, id }) {
  return `v1/clusters/${encodeURIComponent(cluster)}/nodes/${encodeURIComponent(id)}`;
}

/** @param {Response} response */
async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? `the balancer answered ${response.status}`;
  return new ApiError(response.status, detail, problem.code);
}

/**
 * Resolves to false where none is given.
 * @param {boolean} wasRefused
 * @returns {Promise<boolean>}
 */
function askToken(wasRefused) {
  const dialog = byId("token-dialog", HTMLDialogElement);
  const input = byId("token", HTMLInputElement);
  const fault = find(dialog, ".fault");
  setText(byId("token-text"), TOKEN_ASKED);
  setText(fault, wasRefused ? TOKEN_REFUSED : "");
  input.value = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    const end = new AbortController();
    const { signal } = end;
    find(dialog, ".cancel").addEventListener("click", () => dialog.close(), { signal });
    byId("token-form").addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        const token = input.value.trim();
        if (!TOKEN_TEXT.test(token)) {
          setText(fault, "A token has no blanks and no letters beyond ASCII.");
          return;
        }
        sessionStorage.setItem(TOKEN_ITEM, token);
        input.value = "";
        dialog.close("given");
      },
      { signal },
    );
    dialog.addEventListener(
      "close",
      () => {
        end.abort();
        resolve(dialog.returnValue === "given");
        dialog.returnValue = "";
      },
      { signal },
    );
  });
}
