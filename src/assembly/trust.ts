import { BlockList, isIP } from "node:net";

/** Is this the address of a trusted proxy? Peers on a unix socket are: the file's permissions say who may connect. */
export function trustOf(trusted: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const entry of trusted) {
    const [address, prefix] = entry.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return (address) =>
    address === "" || (trusted.length > 0 && list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4"));
}
