import type { TestBalancer } from "./balancer.js";

/** Looks in a row at which nothing has moved: what is on its way between two sockets of one process has arrived long before. */
const CALM_LOOKS = 10;

/** Resolves when a number that has begun to grow does so no more. */
export async function standstill(
  { until }: Pick<TestBalancer, "until">,
  moved: (snapshot: ReturnType<TestBalancer["balancer"]["snapshot"]>) => number,
): Promise<number> {
  let calm = 0;
  let last = 0;
  await until("a standstill", (snapshot) => {
    const now = moved(snapshot);
    calm = now === last && now > 0 ? calm + 1 : 0;
    last = now;
    return calm >= CALM_LOOKS;
  });
  return last;
}
