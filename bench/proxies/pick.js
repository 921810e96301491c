/** The cheapest way to keep a path on a node: what is compared is forwarding, not hashing. */
export function pick(nodes, url) {
  const query = url.indexOf("?");
  const end = query < 0 ? url.length : query;
  let hash = 0;
  for (let at = 0; at < end; at++) hash = (hash * 31 + url.charCodeAt(at)) | 0;
  return nodes[(hash >>> 0) % nodes.length];
}
