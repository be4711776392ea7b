import { getCACertificates, setDefaultCACertificates } from "node:tls";

let isDone = false;

/** Node.js's own fetch, which also trusts the authorities of the operating system. Every request of the project goes through it. */
export const systemFetch: typeof fetch = (...request) => {
  trustSystemStore();
  return fetch(...request);
};

/**
 * Makes this process trust the operating system's authorities as well as Node.js's own: a company whose proxy opens TLS adds its authority
 * there, and every other program on the machine trusts it. Takes some 50 ms, so it waits for the first request.
 */
function trustSystemStore(): void {
  if (isDone) return;
  isDone = true;
  setDefaultCACertificates([...getCACertificates("default"), ...getCACertificates("system")]);
}
