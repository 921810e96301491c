import { ByteLog } from "./byte-log.js";

/** Asks again and again until it is so. */
export async function until(what: string, test: () => Promise<boolean>): Promise<void> {
  const asked = new ByteLog();
  let isSo = false;
  let isOver = false;
  const asking = (async () => {
    while (!isOver && !isSo) {
      isSo = await test();
      asked.wake();
    }
  })();
  try {
    await asked.until(what, () => isSo || undefined);
  } finally {
    isOver = true;
    await asking;
  }
}
