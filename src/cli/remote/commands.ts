import type { Command } from "./command.js";
import { completion, SHELLS } from "./commands/completion.js";
import { drainNodes, removeNodes } from "./commands/drain.js";
import { listeners, pauseListeners, resumeListeners } from "./commands/listeners.js";
import { logLevel } from "./commands/log-level.js";
import {
  addNodes,
  disableNodes,
  enableNodes,
  forgetNodes,
  markNodesAlive,
  resetNodes,
  weighNodes,
} from "./commands/node-changes.js";
import { nodes } from "./commands/nodes.js";
import { route } from "./commands/route.js";
import { status } from "./commands/status.js";

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** Every command that asks a running balancer: the one place that parsing, help and completion are made from. */
export const COMMANDS: readonly Command[] = [
  {
    words: ["status"],
    items: "",
    summary: "how a running balancer, its listeners and its clusters are",
    options: ["watch", "interval", "json"],
    examples: [
      ["fnlb status", "once"],
      ["fnlb status --watch", "a live table, with rates"],
      ["fnlb status --server https://lb.example.com:9081 --json", "of another machine, for a program"],
    ],
    run: status,
  },
  {
    words: ["nodes"],
    items: "",
    summary: "the nodes of a running balancer; add, remove, drain, … change them",
    options: ["cluster", "edits", "json"],
    examples: [
      ["fnlb nodes --cluster api", "those of one cluster"],
      ["fnlb nodes --edits", "what was said by the commands below"],
    ],
    run: nodes,
  },
  {
    words: ["nodes", "add"],
    items: "<node..>",
    summary: "add nodes; one that is there gets the weight and the mode that are given",
    options: ["cluster", "mode", "json"],
    examples: [
      ["fnlb nodes add 10.0.0.4", "with port 8080 and weight 1"],
      ["fnlb nodes add 10.0.0.4:9000=2 --cluster api", "with twice the share of others"],
    ],
    run: addNodes,
  },
  {
    words: ["nodes", "remove"],
    items: "<node..>",
    completes: "nodes",
    summary: "remove nodes; what runs there goes on",
    options: ["cluster", "drain", "timeout", "json"],
    examples: [
      ["fnlb nodes remove 10.0.0.4", "at once"],
      ["fnlb nodes remove --drain --timeout 5m 10.0.0.4", "when nothing runs there any more; else not"],
    ],
    run: removeNodes,
  },
  {
    words: ["nodes", "drain"],
    items: "<node..>",
    completes: "nodes",
    summary: "give nodes no new keys, and wait until nothing runs there",
    options: ["cluster", "no-wait", "timeout", "json"],
    examples: [
      ["fnlb nodes drain 10.0.0.4", "returns when it may be stopped"],
      ["fnlb nodes drain --timeout 30s 10.0.0.4", "exit code 1 if something still runs then"],
    ],
    run: drainNodes,
  },
  {
    words: ["nodes", "enable"],
    items: "<node..>",
    completes: "nodes",
    summary: "take a drain or a disable back",
    options: ["cluster", "json"],
    examples: [["fnlb nodes enable 10.0.0.4 10.0.0.5", "two at once"]],
    run: enableNodes,
  },
  {
    words: ["nodes", "disable"],
    items: "<node..>",
    completes: "nodes",
    summary: "give nodes nothing new, not even from clients that stick to them",
    options: ["cluster", "json"],
    examples: [["fnlb nodes disable 10.0.0.4", "what runs there goes on"]],
    run: disableNodes,
  },
  {
    words: ["nodes", "weight"],
    items: "<node=weight..>",
    completes: "nodes",
    summary: "change the weights of nodes",
    options: ["cluster", "json"],
    examples: [
      ["fnlb nodes weight 10.0.0.4=2 10.0.0.5=0.5", "2 and a half"],
      ["fnlb nodes weight 10.0.0.4=config", "as the config says"],
    ],
    run: weighNodes,
  },
  {
    words: ["nodes", "reset"],
    items: "<node..>",
    completes: "nodes",
    summary: "close the breakers of nodes, take ejection and suspicion back",
    options: ["cluster", "json"],
    examples: [["fnlb nodes reset 10.0.0.4", "after its repair"]],
    run: resetNodes,
  },
  {
    words: ["nodes", "mark-alive"],
    items: "<node..>",
    completes: "nodes",
    summary: "take nodes out of the dead-host set without waiting for a ping",
    options: ["cluster", "json"],
    examples: [["fnlb nodes mark-alive 10.0.0.4", "the next request dials it"]],
    run: markNodesAlive,
  },
  {
    words: ["nodes", "forget"],
    items: "<node..>",
    completes: "nodes",
    summary: "take back all that was said about nodes: added, removed, weight, mode",
    options: ["cluster", "json"],
    examples: [["fnlb nodes forget 10.0.0.4", "as config and discovery say"]],
    run: forgetNodes,
  },
  {
    words: ["route"],
    items: "<url>",
    summary: "explain where a request would go: route, cluster, key, node, fallback order",
    options: ["method", "header", "client", "nodes", "json"],
    examples: [
      ["fnlb route /resize/cat.png", "no matter for which host"],
      ["fnlb route http://api.example.com/v1 --method POST --header 'X-Canary: yes'", "with what routes ask for"],
      ["fnlb route /resize/cat.png --config fnlb.yaml", "by a config, asking nobody"],
    ],
    run: route,
  },
  {
    words: ["listeners"],
    items: "",
    summary: "where clients connect; pause, resume change it",
    options: ["json"],
    examples: [["fnlb listeners", "with their states"]],
    run: listeners,
  },
  {
    words: ["listeners", "pause"],
    items: "<address..>",
    completes: "listeners",
    summary: "answer new connections and requests of listeners by 503",
    options: ["json"],
    examples: [["fnlb listeners pause :8081", "what runs goes on"]],
    run: pauseListeners,
  },
  {
    words: ["listeners", "resume"],
    items: "<address..>",
    completes: "listeners",
    summary: "take a pause back",
    options: ["json"],
    examples: [["fnlb listeners resume :8081", "serves again"]],
    run: resumeListeners,
  },
  {
    words: ["log-level"],
    items: "[level]",
    completes: LEVELS,
    summary: "which events are logged, or from now on",
    options: ["json"],
    examples: [
      ["fnlb log-level", "which it is"],
      ["fnlb log-level debug", "until the next restart"],
    ],
    run: logLevel,
  },
  {
    words: ["completion"],
    isLocal: true,
    items: "<shell>",
    completes: SHELLS,
    summary: `print what completes commands in a shell: ${SHELLS.join(", ")}`,
    options: [],
    examples: [
      ["source <(fnlb completion bash)", "in ~/.bashrc"],
      ["source <(fnlb completion zsh)", "in ~/.zshrc, behind compinit"],
      ["fnlb completion fish | source", "in ~/.config/fish/config.fish"],
    ],
    run: (context) => completion(context, COMMANDS),
  },
];
