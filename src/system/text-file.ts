import { constants } from "node:fs";
import { open } from "node:fs/promises";

/** More nodes than any cluster has. */
const BYTES_MAX = 16 * 1024 * 1024;
/** The opening of a pipe would wait for who writes. */
const READ_AT_ONCE = constants.O_RDONLY | constants.O_NONBLOCK;

/** The text of a file, as UTF-8. Rejects with a `code`: that of the system, or `EFBIG` or `ENOTREG`. */
export async function readTextFile(path: string): Promise<string> {
  const file = await open(path, READ_AT_ONCE);
  try {
    const stat = await file.stat();
    // Nobody may ever write into a pipe, and a device may have no end.
    if (!stat.isFile()) throw Object.assign(new Error(`${path} is no regular file`), { code: "ENOTREG" });
    if (stat.size > BYTES_MAX) throw Object.assign(new Error(`${path} is too large`), { code: "EFBIG" });
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}
