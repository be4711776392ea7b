/** What the gateway tells the services about a request. */

/** A location with a header of its own inherits none, so it repeats them all. */
export function renderForwarded(indent: string, kind: "request" | "socket"): string {
  const isSocket = kind === "socket";
  return [
    "Host $host",
    "X-Real-IP $remote_addr",
    "X-Forwarded-For $remote_addr",
    "X-Forwarded-Host $host",
    "X-Forwarded-Proto $scheme",
    "X-Request-Id $request_id",
    `Upgrade ${isSocket ? "$http_upgrade" : "''"}`,
    // Told to close, n8n would do so while an upload that it has refused is still coming, and the refusal would be lost.
    `Connection ${isSocket ? "upgrade" : "''"}`,
  ]
    .map((header) => `${indent}proxy_set_header ${header};`)
    .join("\n");
}
