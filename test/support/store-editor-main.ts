// A replica in a process of its own: makes many edits at once and says how many were done.
import { RedisStore } from "../../src/store/redis-store.js";
import { systemClock } from "../../src/system/clock.js";

const [url, name, count] = process.argv.slice(2);
const ignore = () => {};
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const store = new RedisStore({ clock: systemClock, random: Math.random, log }, { url });
const stop = new AbortController();
const running = store.run(stop.signal);
await store.opened();
const edits = Array.from({ length: Number(count) }, (_, n) =>
  store.edit("c", [
    { id: `${name}${n}:80`, presence: "added" },
    { id: "shared:80", weight: n },
  ]),
);
const done = await Promise.allSettled(edits);
process.stdout.write(`${done.filter(({ status }) => status === "fulfilled").length}\n`);
stop.abort();
await running;
